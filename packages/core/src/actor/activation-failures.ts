import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';

const windowMs = 60_000;
const failuresAllowed = 5;
const firstBackOffMs = 1_000;
const backOffMsMax = 60_000;
const keysMax = 10_000;

interface Failures {
  count: number;
  since: number;
  /** No activation is tried before. */
  until: number;
}

/** F19: a key whose activation failed five times in 60 s is tried again only after a growing pause. */
export class ActivationFailures {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #failures = new Map<string, Failures>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  get size(): number {
    return this.#failures.size;
  }

  record(address: string): void {
    const now = this.#clock.now();
    const known = this.#failures.get(address);
    const fresh = known === undefined || now - Math.max(known.since, known.until) > windowMs;
    const entry = fresh ? { count: 0, since: now, until: 0 } : known;
    entry.count += 1;
    if (entry.count >= failuresAllowed) {
      const pauseMs = Math.min(backOffMsMax, firstBackOffMs * 2 ** (entry.count - failuresAllowed));
      entry.until = now + pauseMs * (0.75 + 0.5 * this.#random.next());
    }
    this.#failures.delete(address);
    this.#failures.set(address, entry);
    if (this.#failures.size <= keysMax) return;
    const [oldest] = this.#failures.keys();
    if (oldest !== undefined) this.#failures.delete(oldest);
  }

  succeeded(address: string): void {
    this.#failures.delete(address);
  }

  /** The refusal for a key that has to wait; undefined when it may be activated. */
  refusal(address: string): PerkeyError | undefined {
    const entry = this.#failures.get(address);
    if (entry === undefined) return undefined;
    const leftMs = entry.until - this.#clock.now();
    return leftMs > 0 ? activationFailed(Math.ceil(leftMs)) : undefined;
  }
}

export function activationFailed(retryAfterMs?: number): PerkeyError {
  const text = 'the actor could not be activated; the log of its node says why';
  return bareError('actor.activation_failed', text, retryAfterMs === undefined ? {} : { retryAfterMs });
}
