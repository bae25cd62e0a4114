import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { StreamHead } from '../events/commit.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import type { HeldActor } from './held-actor.ts';
import type { Appended, Journal } from './journal.ts';
import type { Keeping } from './keeping.ts';

/** I18: writes the record after which no late append that expected the head before it is stored. */
export class FenceWriter {
  readonly #journal: Journal;
  readonly #keeping: Keeping;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #metrics: DurableMetrics;

  constructor(journal: Journal, keeping: Keeping, clock: Clock, random: Random, metrics: DurableMetrics) {
    this.#journal = journal;
    this.#keeping = keeping;
    this.#clock = clock;
    this.#random = random;
    this.#metrics = metrics;
  }

  /** `state`: of the actor as of `head`. Rejects with `commit.too_large`, which leaves things as they were. */
  async write(held: HeldActor, head: StreamHead, state: unknown): Promise<Appended> {
    const { recordKind } = this.#keeping;
    const { kept } = this.#keeping.fence(held, state);
    const draft = { id: this.#random.hex(16), at: this.#clock.wall(), events: [] };
    const body = this.#journal.encode(recordKind === 'state' ? 'state' : 'fence', held.subject, head, draft, kept);
    const outcome = await this.#journal.append(held.subject, head.sequence, body, head.version);
    if (outcome.kind === 'appended') this.#metrics.fences.inc();
    return outcome;
  }
}
