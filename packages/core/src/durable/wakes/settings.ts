import type { NumberSpec } from '../../base/options.ts';

/** Limits and times of what durable actors do without being called. */
export interface WakeSettings {
  readonly wakesAtOnceMax: number;
  readonly wakesKeptMax: number;
  readonly wakeHorizonMs: number;
  readonly wakeKeepMs: number;
  readonly wakeBackoffMs: number;
  readonly wakeBackoffMaxMs: number;
  readonly outboxTimeoutMs: number;
  readonly outboxAttemptsMax: number;
  readonly outboxNoteMs: number;
  readonly reminderTimeoutMs: number;
  readonly reminderAttemptsMax: number;
  readonly reminderGraceMs: number;
}

const ms = (byDefault: number, min: number, max: number, help: string): NumberSpec => ({
  ...{ kind: 'number', default: byDefault, min, max, unit: 'ms', help },
});
const count = (byDefault: number, max: number, unit: string, help: string): NumberSpec => ({
  ...{ kind: 'integer', default: byDefault, min: 1, max, unit, help },
});
const day = 86_400_000;

/** The part of the table of defaults that is about wake-ups, outboxes and reminders. */
export const wakeOptions: { readonly [Name in keyof WakeSettings]: NumberSpec } = {
  wakesAtOnceMax: count(
    64,
    10_000,
    'actions',
    'Actors that a node wakes at a time; also messages that it delivers, and reminders that it calls.',
  ),
  wakesKeptMax: count(
    10_000,
    1_000_000,
    'wakes',
    'Actors out of memory of which a node knows when they are to be woken; others are looked up later.',
  ),
  wakeHorizonMs: ms(600_000, 1_000, day, 'How far ahead a node looks for actors to be woken; it looks again after half of that.'),
  wakeKeepMs: ms(5_000, 0, 3_600_000, 'How long the record that wakes an actor stays as it is when nothing needs it any more.'),
  wakeBackoffMs: ms(
    100,
    1,
    60_000,
    'The first pause before a wake-up, delivery or reminder is tried again; each further one is twice as long.',
  ),
  wakeBackoffMaxMs: ms(30_000, 1, day, 'The longest of these pauses.'),
  outboxTimeoutMs: ms(10_000, 1, 600_000, 'How long one try to deliver an outbox message may take.'),
  outboxAttemptsMax: count(20, 1_000_000, 'tries', 'After so many tries in vain an outbox message is put aside as a dead letter.'),
  outboxNoteMs: ms(200, 0, 60_000, 'How long after the last delivery a commit of its own says so, where no other one has.'),
  reminderTimeoutMs: ms(30_000, 1, 600_000, 'How long the call of a reminder may take.'),
  reminderAttemptsMax: count(5, 1_000_000, 'tries', 'After so many calls in vain a due time of a reminder is left out.'),
  reminderGraceMs: ms(5_000, 0, day, 'A reminder that does not want to be made up for is left out when it is later than this.'),
};
