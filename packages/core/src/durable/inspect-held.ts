import type { DurableInspection } from '../actor/inspection.ts';
import type { HeldActor } from './held-actor.ts';
import { asReminder } from './reminders/stored-reminder.ts';

export function inspectHeld({ head, books, deliveredTo, stale }: HeldActor, snapshotVersion: number | undefined): DurableInspection {
  const { version, sequence, epoch, owner } = head;
  const reminders = Array.from(books.reminders(), ([name, stored]) => ({ name, dueAt: asReminder(stored)?.due ?? 0 }));
  return {
    ...{ version, sequence, epoch, owner, reminders, snapshotVersion },
    committedAt: books.committedAt,
    outboxPending: books.pendingAfter(deliveredTo),
    isStale: stale,
  };
}
