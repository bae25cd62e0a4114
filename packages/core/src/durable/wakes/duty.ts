import type { Activation } from '../../actor/activation.ts';
import type { StreamName } from '../../contract/commit-log.ts';
import type { Bookkeeping } from '../../events/bookkeeping.ts';
import type { CommitNotes } from '../../events/commit.ts';
import type { HeldActor } from '../held-actor.ts';
import { asReminder } from '../reminders/stored-reminder.ts';
import type { DueEntry } from './due-heap.ts';
import type { WakeRecord } from './wake-record.ts';

/** How often something was tried in vain, and when it is tried again (monotonic ms). */
export class Tries {
  count = 0;
  againAt = 0;

  reset(): void {
    this.count = 0;
    this.againAt = 0;
  }
}

/** Of one due time of a reminder. */
export class ReminderTries extends Tries {
  readonly due: number;
  /** Those of `count` that were the handler's fault. */
  counted = 0;

  constructor(due: number) {
    super();
    this.due = due;
  }
}

/** What an actor has to do although nobody calls it, as the node knows it that owns its shard. Ends with the shard's epoch. */
export class Duty {
  readonly stream: StreamName;
  readonly shard: number;
  readonly epoch: number;
  readonly record: WakeRecord;
  activation: Activation | undefined = undefined;
  held: HeldActor | undefined = undefined;
  /** When what is stored has to be looked at first, in ms since 1970; 0 for messages, Infinity for nothing. */
  need: number;
  /** The record says exactly that. */
  isTidy = false;
  /** A turn is on its way to the store. */
  inTurn = false;
  /** A commit may be stored that is not in memory. */
  isUnsure = false;
  isGone = false;
  entry: DueEntry<Duty> | undefined = undefined;
  /** Of `need`, monotonic ms. */
  changedAt = 0;
  readonly wakes: Tries = new Tries();
  readonly notes: Tries = new Tries();
  readonly delivery: Tries = new Tries();
  isDelivering = false;
  deliveredTo = 0;
  deliveredAt = 0;
  isCalling = false;
  readonly calls: Map<string, ReminderTries> = new Map();
  /** When a note was last tried: the oldest message in the books, and how many due times were to be left out. */
  #notedFrom = 0;
  #skipsNoted = 0;

  constructor(stream: StreamName, shard: number, epoch: number, record: WakeRecord, need: number) {
    this.stream = stream;
    this.shard = shard;
    this.epoch = epoch;
    this.record = record;
    this.need = need;
  }

  get address(): string {
    return `${this.stream.type}/${this.stream.key}`;
  }

  /** The actor in memory, if its next turn may begin on what is there. */
  get present(): HeldActor | undefined {
    const { activation, held } = this;
    if (activation === undefined || held === undefined || held.stale || activation.status === 'gone') return undefined;
    return activation.extras?.held === held ? held : undefined;
  }

  get isBusy(): boolean {
    return this.isDelivering || this.isCalling;
  }

  /** Messages that are dealt with, of which no commit says so yet. */
  get unnoted(): number {
    const { held } = this;
    return held === undefined ? 0 : held.books.pendingCount - held.books.pendingAfter(held.deliveredTo);
  }

  /** A turn is about to store what there is to note. */
  beginNote(): void {
    this.#notedFrom = this.#oldest;
    this.#skipsNoted = this.#skips;
  }

  /** Whether a commit has stored some of it since; one that was refused has stored nothing, and is tried again later. */
  hasNoted(): boolean {
    return this.#oldest !== this.#notedFrom || this.#skips < this.#skipsNoted;
  }

  get #oldest(): number {
    return this.held?.books.nextPending(0)?.number ?? 0;
  }

  get #skips(): number {
    return this.held?.skips?.size ?? 0;
  }

  delivered(number: number, now: number): void {
    this.deliveredTo = number;
    this.deliveredAt = now;
    this.delivery.count = 0;
    if (this.held !== undefined) this.held.deliveredTo = Math.max(this.held.deliveredTo, number);
  }

  triesOf(name: string, due: number): ReminderTries {
    let tries = this.calls.get(name);
    if (tries?.due !== due) this.calls.set(name, (tries = new ReminderTries(due)));
    return tries;
  }

  /** Forgets what is no longer in the books. */
  prune(books: Bookkeeping): void {
    const reminders = books.reminders();
    const isOver = (name: string, due: number): boolean => asReminder(reminders.get(name))?.due !== due;
    for (const [name, { due }] of this.calls) if (isOver(name, due)) this.calls.delete(name);
    for (const [name, { due }] of this.held?.skips ?? []) if (isOver(name, due)) this.held?.skips?.delete(name);
  }
}

/** When books have to be looked at first: 0 for messages, Infinity for nothing. */
export function needOf(books: Bookkeeping): number {
  if (books.pendingCount > 0) return 0;
  let need = Infinity;
  for (const stored of books.reminders().values()) need = Math.min(need, asReminder(stored)?.due ?? Infinity);
  return need;
}

/** The same of what a commit adds to them. */
export function needAdded({ outbox, reminders }: CommitNotes): number {
  if (outbox !== undefined && outbox.length > 0) return 0;
  let need = Infinity;
  if (reminders === undefined) return need;
  for (const { reminder } of reminders) need = Math.min(need, asReminder(reminder)?.due ?? Infinity);
  return need;
}
