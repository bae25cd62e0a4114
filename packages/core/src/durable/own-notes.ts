import type { DurableTurn } from '../actor/durability.ts';
import type { Clock } from '../base/clock.ts';
import type { ReminderChange } from '../events/commit.ts';
import type { HeldActor } from './held-actor.ts';
import { ReminderCall } from './reminders/reminder-call.ts';
import { advanceOf, asReminder } from './reminders/stored-reminder.ts';

/** What the runtime itself has stored with a turn. */
export interface OwnNotes {
  readonly delivered: number | undefined;
  readonly reminders: readonly ReminderChange[];
  /** It is stored even where the turn has nothing to store. */
  readonly isDue: boolean;
}

/** A method of the type's contract is never this. */
export function isWake({ method, activation, request }: DurableTurn): boolean {
  return request === undefined && method === activation.type.wake;
}

/** Which messages were delivered, and which due times of reminders are dealt with by this turn. Undefined for nearly every turn. */
export function ownNotesOf(turn: DurableTurn, held: HeldActor, clock: Clock): OwnNotes | undefined {
  const { request } = turn;
  const { books, deliveredTo, skips } = held;
  const isCall = request instanceof ReminderCall;
  const isWoken = isWake(turn);
  if (!isCall && !isWoken && books.pendingCount === 0) return undefined;
  const at = clock.wall();
  const oldest = books.nextPending(0);
  const delivered = oldest !== undefined && oldest.number <= deliveredTo ? deliveredTo : undefined;
  const reminders: ReminderChange[] = [];
  if (isCall) {
    const reminder = request.dueIn(books);
    if (reminder !== undefined) reminders.push(advanceOf(request.name, reminder, at));
  }
  if (isWoken && skips !== undefined) {
    for (const [name, { due, keptMs }] of skips) {
      const reminder = asReminder(books.reminders().get(name));
      if (reminder?.due === due) reminders.push(advanceOf(name, reminder, at, keptMs));
    }
  }
  if (!isWoken && delivered === undefined && reminders.length === 0) return undefined;
  // Somebody meant to store something under this name, and may still be at it: where nothing is, a record keeps it out.
  const isFence = isWoken && held.head.sequence === 0;
  return { delivered, reminders, isDue: isFence || reminders.length > 0 || (isWoken && delivered !== undefined) };
}
