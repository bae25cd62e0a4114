import type { MissedReminders, ReminderSchedule } from '../actor/aggregate-context.ts';
import type { Headers } from '../contract/calls.ts';

/** A message that a turn wrote: plain data of its own. */
export type OutboxDraft =
  | { readonly to: 'subject'; readonly subject: string; readonly data: unknown; readonly headers: Headers }
  | {
      readonly to: 'actor';
      readonly type: string;
      readonly key: string;
      readonly method: string;
      readonly input: unknown;
      readonly headers: Headers;
    };

/** A change of the actor's reminders: plain data of its own. */
export type ReminderDraft =
  | {
      readonly change: 'set';
      readonly name: string;
      readonly schedule: ReminderSchedule;
      readonly method: string;
      readonly input: unknown;
      readonly missed: MissedReminders;
    }
  | { readonly change: 'cancel'; readonly name: string };
