import type { MissedReminders, ReminderSchedule } from '../../actor/aggregate-context.ts';
import type { ReminderChange } from '../../events/commit.ts';
import type { ReminderDraft } from '../drafts.ts';
import { anchored, dueAfter, firstDue } from './schedule.ts';

/** A reminder as the books of its actor hold it. Times in ms since 1970. */
export interface StoredReminder {
  readonly schedule: ReminderSchedule;
  readonly method: string;
  readonly input: unknown;
  readonly missed: MissedReminders;
  readonly due: number;
}

/** What the books hold under a name; opaque to them. */
export function asReminder(stored: unknown): StoredReminder | undefined {
  return stored === undefined ? undefined : (stored as StoredReminder);
}

/** How a commit notes what a turn wrote at `at`. */
export function changeOf(draft: ReminderDraft, at: number): ReminderChange {
  const { name } = draft;
  if (draft.change === 'cancel') return { name };
  const { method, input, missed } = draft;
  const schedule = anchored(draft.schedule, at);
  const due = firstDue(schedule, at);
  return due === undefined ? { name } : { name, reminder: { schedule, method, input, missed, due } satisfies StoredReminder };
}

/**
 * How a commit at `at` notes that the due time of a reminder is dealt with. The times that passed meanwhile are dealt with too, unless each of
 * them counts, or they are no older than `keptMs`.
 */
export function advanceOf(name: string, reminder: StoredReminder, at: number, keptMs: number = 0): ReminderChange {
  const { schedule, due, missed } = reminder;
  const next = dueAfter(schedule, missed === 'all' ? due : Math.max(due, at - keptMs));
  return next === undefined ? { name } : { name, reminder: { ...reminder, due: next } };
}

/** Whether a reminder that is due at `now` has missed its time, and does not want to be made up for. */
export function isOverslept({ missed, due }: StoredReminder, now: number, graceMs: number): boolean {
  return missed === 'skip' && now - due > graceMs;
}
