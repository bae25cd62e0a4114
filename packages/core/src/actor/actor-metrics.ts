import type { ErrorCode } from '../base/errors.ts';
import type { Counter, Histogram, Labels, Metrics } from '../base/metrics.ts';
import { durationBuckets } from '../base/metrics-registry.ts';
import type { DeactivationReason } from './implementation.ts';

/** What the gauges read. */
export interface ActorGauges {
  readonly waiting: () => number;
  readonly running: () => number;
  readonly quarantined: () => number;
  readonly withheld: () => number;
  readonly background: () => number;
}

/** The instruments of actor/. Labels are names of the definitions and closed sets of the runtime, never anything from a request. */
export class ActorMetrics {
  readonly #metrics: Metrics;
  /** Those that count often, by name and labels: finding them among all takes longer than counting. */
  readonly #found = new Map<string, Counter>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  turns(type: string, method: string, outcome: 'ok' | 'replayed' | ErrorCode): Counter {
    return this.#metrics.counter('perkey_actor_turns_total', 'Turns by how they ended.', { type, method, outcome });
  }

  turnSeconds(type: string, method: string): Histogram {
    return this.#metrics.histogram('perkey_actor_turn_duration_seconds', 'From the start of a turn to its end.', durationBuckets, {
      type,
      method,
    });
  }

  /** A request that was refused before a turn began. */
  refused(type: string, code: ErrorCode): void {
    this.#counter(code, 'perkey_actor_refusals_total', 'Requests refused before a turn began.', { type, code }).inc();
  }

  failures(type: string): Counter {
    return this.#metrics.counter('perkey_actor_failures_total', 'Handlers, timers and hooks that threw something undeclared.', { type });
  }

  activations(type: string): Counter {
    return this.#counter('', 'perkey_actor_activations_total', 'Actors that became ready for their first turn.', { type });
  }

  activationFailures(type: string): Counter {
    return this.#metrics.counter('perkey_actor_activation_failures_total', 'Actors whose state or onActivate threw.', { type });
  }

  deactivations(type: string, reason: DeactivationReason): Counter {
    return this.#counter(reason, 'perkey_actor_deactivations_total', 'Actors that left the memory of this node.', { type, reason });
  }

  turnTimeouts(type: string): Counter {
    return this.#metrics.counter('perkey_actor_turn_timeouts_total', 'Turns that outlived their time limit and quarantined their actor.', {
      type,
    });
  }

  lostOnMove(type: string): Counter {
    return this.#metrics.counter('perkey_actor_lost_on_move_total', 'Actors whose state could not travel because it is not plain data.', {
      type,
    });
  }

  #counter(kind: string, name: string, help: string, labels: Labels & { readonly type: string }): Counter {
    const id = `${name} ${kind} ${labels.type}`;
    let counter = this.#found.get(id);
    if (counter === undefined) this.#found.set(id, (counter = this.#metrics.counter(name, help, labels)));
    return counter;
  }

  resident(type: string, read: () => number): void {
    this.#metrics.observedGauge('perkey_actor_resident', 'Actors in memory.', read, { type });
  }

  remembered(type: string, read: () => number): void {
    this.#metrics.observedGauge('perkey_actor_remembered_replies', 'Replies remembered by idempotency key.', read, { type });
  }

  observe(gauges: ActorGauges): void {
    const metrics = this.#metrics;
    metrics.observedGauge('perkey_actor_mailbox_depth', 'Requests and timer ticks that wait for a turn, in all mailboxes.', gauges.waiting);
    metrics.observedGauge('perkey_actor_turns_running', 'Asynchronous turns and hooks that have not settled.', gauges.running);
    metrics.observedGauge('perkey_actor_quarantined', 'Actors that take no requests because a turn never settled.', gauges.quarantined);
    metrics.observedGauge('perkey_actor_replies_withheld', 'Replies held back until the lease is certain again.', gauges.withheld);
    metrics.observedGauge('perkey_actor_background_running', 'Background tasks of actors that run.', gauges.background);
  }
}
