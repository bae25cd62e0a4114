import type { ReminderEntry, Reminders, ReminderSchedule, MissedReminders } from '../actor/aggregate-context.ts';
import type { AnyContract } from '../actor/method-spec.ts';
import { checkName } from '../actor/names.ts';
import { copyPlain } from '../base/plain.ts';
import type { ReminderDraft } from './drafts.ts';
import { checkedSchedule } from './reminders/schedule.ts';

const missedRules: ReadonlySet<string> = new Set(['once', 'all', 'skip']);

/** Writes changes of reminders down for a turn. */
export class TurnReminders implements Reminders {
  readonly #contract: AnyContract;
  readonly #stored: () => Iterable<ReminderEntry>;
  readonly #written: () => readonly ReminderDraft[] | undefined;
  readonly #write: (draft: ReminderDraft) => void;

  constructor(
    contract: AnyContract,
    stored: () => Iterable<ReminderEntry>,
    written: () => readonly ReminderDraft[] | undefined,
    write: (draft: ReminderDraft) => void,
  ) {
    this.#contract = contract;
    this.#stored = stored;
    this.#written = written;
    this.#write = write;
  }

  set(
    name: string,
    schedule: ReminderSchedule,
    wake: { readonly method: string; readonly input?: unknown; readonly missed?: MissedReminders },
  ): void {
    checkName(`reminder name of actor ${this.#contract.type}:`, name);
    const { method, input, missed = 'once' } = wake;
    if (!Object.hasOwn(this.#contract.methods, method)) throw new TypeError(`actor ${this.#contract.type} has no method "${method}"`);
    if (!missedRules.has(missed)) throw new TypeError('missed is one of once, all, skip');
    this.#write({ change: 'set', name, schedule: checkedSchedule(schedule), method, input: copyPlain(input), missed });
  }

  cancel(name: string): boolean {
    const isSet = this.list().some((entry) => entry.name === name);
    if (isSet) this.#write({ change: 'cancel', name });
    return isSet;
  }

  list(): readonly ReminderEntry[] {
    const entries = new Map<string, ReminderEntry>();
    for (const entry of this.#stored()) entries.set(entry.name, entry);
    for (const draft of this.#written() ?? []) {
      entries.delete(draft.name);
      if (draft.change === 'set') {
        const { name, schedule, method, input, missed } = draft;
        entries.set(name, { name, schedule, method, input, missed });
      }
    }
    return [...entries.values()];
  }
}
