import type { ReminderEntry } from '../actor/aggregate-context.ts';
import type { DurableTurn } from '../actor/durability.ts';
import type { CommitNotes } from '../events/commit.ts';
import { DurableTurnContext } from './durable-turn-context.ts';
import { HeldActor } from './held-actor.ts';
import { replyNote } from './kept-replies.ts';

/** What the turn wants stored beside its events: reply, messages, reminders. */
export function notesOf(turn: DurableTurn, value: unknown): CommitNotes {
  const drafts = DurableTurnContext.draftsOf(turn.ctx as DurableTurnContext);
  const reminders = drafts?.reminders?.map((draft) => {
    if (draft.change === 'cancel') return { name: draft.name };
    const { name, schedule, method, input, missed } = draft;
    return { name, reminder: { schedule, method, input, missed } };
  });
  return { reply: replyNote(turn, value), outbox: drafts?.outbox, reminders };
}

/** The reminders of an actor, as its last stored turn left them. */
export function* remindersOf(activation: DurableTurn['activation']): Generator<ReminderEntry> {
  for (const [name, reminder] of HeldActor.of(activation).books.reminders) {
    yield { name, ...(reminder as Omit<ReminderEntry, 'name'>) };
  }
}
