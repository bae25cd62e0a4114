import type { Clock } from '../base/clock.ts';
import type { Announcer } from './announcer.ts';
import type { Lease } from './lease.ts';
import type { Incarnated, MemberRecord } from './records.ts';

export interface RelinksOptions {
  readonly clock: Clock;
  readonly self: Incarnated;
  readonly lease: Lease<MemberRecord>;
  readonly announcer: Announcer;
}

/**
 * Tells callers that the data connection of this node was made anew, so that they need not wait for what was lost with the old one. They are
 * told only while the lease holds: until then this node keeps them waiting for a reason.
 */
export class Relinks {
  readonly #o: RelinksOptions;
  #count = 0;
  #told = 0;

  constructor(options: RelinksOptions) {
    this.#o = options;
  }

  /** There is a new connection. */
  up(): void {
    this.#count += 1;
    this.tell();
  }

  /** To be called also when the lease holds again. */
  tell(): void {
    const { clock, self, lease, announcer } = this.#o;
    if (this.#told === this.#count || !lease.mayAct(clock.now())) return;
    this.#told = this.#count;
    void lease.update({ links: this.#count });
    announcer.relinked(self, this.#count);
  }
}
