import type { Clock } from '../../base/clock.ts';
import type { ErrorCode, PerkeyError } from '../../base/errors.ts';
import { LogLimiter, safeText } from '../../base/log-text.ts';
import type { Logger } from '../../base/log.ts';
import type { InboundRequest, ReplyPort } from '../../contract/calls.ts';
import type { HeldActor } from '../held-actor.ts';
import type { Duty } from '../wakes/duty.ts';
import type { WakeMetrics } from '../wakes/wake-metrics.ts';
import type { WakeSettings } from '../wakes/settings.ts';
import { ReminderCall } from './reminder-call.ts';
import { asReminder, isOverslept, type StoredReminder } from './stored-reminder.ts';

export interface BellOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: WakeSettings;
  readonly metrics: WakeMetrics;
  /** False: nothing comes of it. */
  readonly call: (duty: Duty, request: InboundRequest) => boolean;
  readonly backoffMs: (tries: number) => number;
  /** A call has ended. */
  readonly onEnd: (duty: Duty) => void;
}

/** What says nothing of the handler: it is tried again for as long as it takes. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['shard.moved', 'node.suspended', 'node.stopped', 'mailbox.full', 'node.overloaded', 'actor.limit', 'actor.quarantined'] as const),
  ...(['actor.activation_failed', 'request.expired', 'request.cancelled', 'commit.conflict', 'commit.unknown', 'turn.abandoned'] as const),
  ...(['store.full', 'store.unavailable', 'actor.not_hosted'] as const),
]);

interface Ringing {
  readonly name: string;
  readonly reminder: StoredReminder;
}

/** Calls actors when their reminders are due: one call of an actor at a time, the longest due first, none before its time (I15). */
export class Bell {
  readonly #o: BellOptions;
  readonly #limiter: LogLimiter;

  constructor(options: BellOptions) {
    this.#o = options;
    this.#limiter = new LogLimiter(options.clock);
  }

  /** When the next call of the actor may be made, monotonic ms: a time that has passed for at once, Infinity for never. */
  nextAt(duty: Duty, held: HeldActor): number {
    const { clock } = this.#o;
    if (duty.isCalling) return Infinity;
    const [now, wall] = [clock.now(), clock.wall()];
    let at = Infinity;
    for (const [name, stored] of held.books.reminders()) {
      const { due } = asReminder(stored) as StoredReminder;
      if (held.skips?.get(name)?.due === due) continue;
      const againAt = duty.calls.get(name)?.due === due ? (duty.calls.get(name)?.againAt ?? 0) : 0;
      at = Math.min(at, due > wall ? Math.max(now + due - wall, againAt) : againAt);
    }
    return at;
  }

  /** Makes the call that is due, if one is; true when it is under way. */
  ring(duty: Duty, held: HeldActor): boolean {
    if (duty.isCalling) return false;
    const ringing = this.#due(duty, held);
    if (ringing === undefined) return false;
    const { clock, settings, call, backoffMs } = this.#o;
    const { name, reminder } = ringing;
    if (isOverslept(reminder, clock.wall(), settings.reminderGraceMs)) {
      this.#skip(held, ringing, settings.reminderGraceMs);
      return false;
    }
    duty.isCalling = true;
    const deadline = clock.now() + settings.reminderTimeoutMs;
    const request: ReminderCall = new ReminderCall(
      duty.stream,
      name,
      reminder,
      deadline,
      this.#port(duty, ringing, () => request),
    );
    if (call(duty, request)) return true;
    duty.isCalling = false;
    const tries = duty.triesOf(name, reminder.due);
    tries.count += 1;
    tries.againAt = clock.now() + backoffMs(tries.count);
    return false;
  }

  #due(duty: Duty, held: HeldActor): Ringing | undefined {
    const { clock } = this.#o;
    const [now, wall] = [clock.now(), clock.wall()];
    let first: Ringing | undefined;
    for (const [name, stored] of held.books.reminders()) {
      const reminder = asReminder(stored) as StoredReminder;
      const { due } = reminder;
      const tries = duty.calls.get(name);
      const isLater = due > wall || (tries?.due === due && tries.againAt > now) || held.skips?.get(name)?.due === due;
      if (!isLater && (first === undefined || due < first.reminder.due)) first = { name, reminder };
    }
    return first;
  }

  #port(duty: Duty, ringing: Ringing, request: () => ReminderCall): ReplyPort {
    const { clock, metrics, onEnd } = this.#o;
    return {
      ok: () => {
        duty.isCalling = false;
        if (request().wasRun) {
          metrics.fired.inc();
          metrics.reminderDelay.observe(Math.max(0, clock.wall() - ringing.reminder.due) / 1_000);
        }
        onEnd(duty);
      },
      error: (_id, error) => {
        duty.isCalling = false;
        if (!duty.isGone) this.#failed(duty, ringing, error);
        onEnd(duty);
      },
    };
  }

  #failed(duty: Duty, ringing: Ringing, error: PerkeyError): void {
    const { clock, settings, metrics, backoffMs, log } = this.#o;
    const { name, reminder } = ringing;
    const tries = duty.triesOf(name, reminder.due);
    metrics.reminderRetries.inc();
    const isPassing = passing.has(error.code);
    tries.count += 1;
    if (!isPassing) tries.counted += 1;
    tries.againAt = clock.now() + backoffMs(tries.count);
    if (tries.counted < settings.reminderAttemptsMax) return;
    const leftOut = this.#limiter.allow('skipped');
    if (leftOut !== undefined) {
      const { type, key } = duty.stream;
      const fields = { type, key: safeText(key, 128), reminder: safeText(name, 128), due: reminder.due, tries: tries.counted };
      log.warn({ ...fields, code: error.code, leftOut }, 'a reminder failed too often; this due time is left out');
    }
    if (duty.held !== undefined) this.#skip(duty.held, ringing, 0);
  }

  #skip(held: HeldActor, { name, reminder }: Ringing, keptMs: number): void {
    (held.skips ??= new Map()).set(name, { due: reminder.due, keptMs });
    this.#o.metrics.reminderSkips.inc();
  }
}
