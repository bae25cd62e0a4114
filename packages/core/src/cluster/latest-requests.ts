import type { Address } from '../contract/transport.ts';

/** Ids of attempts rise and begin anew after so many (see `Attempts`). */
const idCount = 2 ** 30;
/**
 * In so many ms no caller makes half as many attempts as there are ids. Of one that was silent for longer nobody can say any more which of two ids is
 * the later one: it may have called other nodes meanwhile.
 */
const tellingMs = 240_000;
/** Callers that are remembered at least; twice as many at most. */
const callersLeast = 8_192;

/** The latest request of one caller that came here. */
export interface LatestRequest {
  /** 0: not known. */
  id: number;
  /** Monotonic ms. */
  at: number;
}

/**
 * Tells requests that come late, over a connection that their caller has lost. On one connection the requests of a caller to a node arrive in the
 * order of their ids. One that arrives after a later one was kept back somewhere on its way until the caller had made a new connection and gone
 * on: the caller takes it for lost, and to execute it now would turn the order of its calls round (I6).
 */
export class LatestRequests {
  #latest = new Map<Address, LatestRequest>();
  /** What was not heard of since `#latest` was begun. */
  #former = new Map<Address, LatestRequest>();

  get size(): number {
    return this.#latest.size + this.#former.size;
  }

  /** What is known of the caller of whom a frame has come, to be asked and told for each request of the frame. */
  of(caller: Address, now: number): LatestRequest {
    const latest = this.#latest.get(caller) ?? this.#renewed(caller, now);
    if (now - latest.at > tellingMs) latest.id = 0;
    latest.at = now;
    return latest;
  }

  #renewed(caller: Address, now: number): LatestRequest {
    if (this.#latest.size >= callersLeast) {
      this.#former = this.#latest;
      this.#latest = new Map();
    }
    const latest = this.#former.get(caller) ?? { id: 0, at: now };
    this.#latest.set(caller, latest);
    return latest;
  }
}

/** Whether the request came after a later one; else it is the latest from now on. */
export function isLateRequest(latest: LatestRequest, id: number): boolean {
  const aheadBy = (id - latest.id + idCount) % idCount;
  if (latest.id !== 0 && aheadBy > idCount / 2) return true;
  latest.id = id;
  return false;
}
