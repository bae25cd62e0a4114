import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Guard } from '../contract/calls.ts';
import type { RecordStore } from '../contract/record-store.ts';

/** Wall and monotonic clocks that drift apart by more than this since the last renewal void the lease: the machine was suspended. */
const clockDriftMaxMs = 1_000;

export interface LeaseTimes {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
}

export interface LeaseOptions<Body extends { readonly incarnation: string; readonly state: string }> {
  readonly store: RecordStore;
  readonly key: string;
  readonly body: Body;
  readonly times: LeaseTimes;
  readonly clock: Clock;
  readonly log: Logger;
  /** Reads what the store holds; `undefined` when it is not a record of this kind. */
  readonly parse: (text: string) => { readonly incarnation: string; readonly state: string; readonly n: number } | undefined;
  /** Somebody else holds the record, or it says `gone`: this incarnation can never act again. Called once. */
  readonly onLost: () => void;
  /** The lease held again after a gap (also after the first acknowledgement). */
  readonly onHeld: () => void;
  /** The lease ran out; it may come back. */
  readonly onLapsed: () => void;
}

interface Attempt {
  readonly sentAt: number;
  readonly version: number;
}

/**
 * One record that its holder renews by compare-and-set on its own last revision.
 *
 * Invariant (I19, H6): `mayAct` is true only while some renewal that is proven applied was sent less than `leaseMs` ago, by the monotonic
 * clock. An observer that waits `leaseMs` + margin from its first sight of a revision, and then replaces that very revision, so always acts
 * after the holder stopped. A lapse suspends; only a record that shows another incarnation, or `gone`, ends the lease.
 */
export class Lease<Body extends { readonly incarnation: string; readonly state: string }> implements Guard {
  readonly #options: LeaseOptions<Body>;
  #body: Body;
  #revision: number;
  #n: number;
  #deadline = Number.NEGATIVE_INFINITY;
  #heldSince = Number.POSITIVE_INFINITY;
  #wallMinusMonotonic = 0;
  #phase: 'running' | 'lost' | 'stopped' = 'running';
  #renewing: Promise<void> | undefined;
  #again = false;
  #lapsed = true;
  #inDoubt = false;
  /** The attempts that are not yet proven, by their n. */
  readonly #attempts = new Map<number, Attempt>();
  /** Counts the changes of the body. */
  #version = 0;
  readonly #waiting: { readonly version: number; readonly resolve: () => void }[] = [];
  #timer: Timer | undefined;

  /** `held` is the write that acquired the record: its revision and the time just before it was sent. */
  constructor(options: LeaseOptions<Body>, held: { readonly revision: number; readonly n: number; readonly sentAt: number }) {
    this.#options = options;
    this.#body = options.body;
    this.#revision = held.revision;
    this.#n = held.n;
    this.#extend(held.sentAt);
    this.#schedule();
  }

  mayAct(now: number): boolean {
    if (now >= this.#deadline) return false;
    const drift = this.#options.clock.wall() - now - this.#wallMinusMonotonic;
    return drift < clockDriftMaxMs && drift > -clockDriftMaxMs;
  }

  /** Since when the lease has held without a gap; `undefined` while it does not hold. */
  heldSince(now: number): number | undefined {
    return this.mayAct(now) ? this.#heldSince : undefined;
  }

  remainingMs(now: number): number {
    return Math.max(0, this.#deadline - now);
  }

  get body(): Body {
    return this.#body;
  }

  /** Changes what the record says and renews at once. Resolves when the change is stored, or the lease has ended. */
  update(change: Partial<Body>): Promise<void> {
    this.#body = { ...this.#body, ...change };
    this.#version += 1;
    const version = this.#version;
    this.#again = true;
    void this.#renew();
    if (this.#phase !== 'running') return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ version, resolve }));
  }

  /** Stops renewing and acting. */
  stop(): void {
    if (this.#phase === 'running') this.#phase = 'stopped';
    this.#end();
  }

  #end(): void {
    this.#deadline = Number.NEGATIVE_INFINITY;
    this.#timer?.cancel();
    for (const waiter of this.#waiting.splice(0)) waiter.resolve();
  }

  #schedule(): void {
    this.#timer?.cancel();
    if (this.#phase !== 'running') return;
    const { clock, times } = this.#options;
    this.#timer = clock.setTimer(this.#inDoubt ? times.heartbeatMs / 5 : times.heartbeatMs, () => this.#beat());
  }

  #beat(): void {
    this.#noticeLapse();
    this.#again = true;
    void this.#renew();
    this.#schedule();
  }

  #noticeLapse(): void {
    if (this.#lapsed || this.mayAct(this.#options.clock.now())) return;
    this.#lapsed = true;
    this.#options.onLapsed();
  }

  /** One renewal at a time; a request made meanwhile is served by one more. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewWhileAsked().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewWhileAsked(): Promise<void> {
    while (this.#again && this.#phase === 'running') {
      this.#again = false;
      try {
        if (this.#inDoubt) await this.#readBack();
        if (this.#phase === 'running') await this.#write();
      } catch (error) {
        this.#inDoubt = true;
        this.#options.log.debug({ err: error }, 'lease renewal got no answer');
      }
      this.#noticeLapse();
    }
    this.#schedule();
  }

  async #write(): Promise<void> {
    const { store, key, clock } = this.#options;
    const n = this.#n + 1;
    this.#n = n;
    const attempt = { sentAt: clock.now(), version: this.#version };
    this.#attempts.set(n, attempt);
    const outcome = await store.write(key, JSON.stringify({ ...this.#body, n }), this.#revision);
    if (outcome.applied) this.#proven(outcome.revision, attempt);
    else await this.#readBack();
  }

  /** After a refusal or no answer: what does the store hold? Only its own incarnation tells whose write it was. */
  async #readBack(): Promise<void> {
    const { store, key, parse } = this.#options;
    this.#inDoubt = true;
    const found = await store.read(key);
    const record = found && parse(found.value);
    if (!found || !record || record.incarnation !== this.#body.incarnation || record.state === 'gone') {
      this.#lose();
      return;
    }
    if (found.revision < this.#revision) return;
    this.#revision = found.revision;
    const attempt = this.#attempts.get(record.n);
    if (attempt) this.#proven(found.revision, attempt);
    else this.#again = true;
    this.#inDoubt = false;
  }

  #proven(revision: number, attempt: Attempt): void {
    if (this.#phase !== 'running') return;
    this.#revision = revision;
    this.#inDoubt = false;
    this.#attempts.clear();
    this.#extend(attempt.sentAt);
    if (attempt.version < this.#version) this.#again = true;
    while (this.#waiting[0] && this.#waiting[0].version <= attempt.version) this.#waiting.shift()?.resolve();
  }

  #extend(sentAt: number): void {
    const { clock, times } = this.#options;
    const now = clock.now();
    const gap = !this.mayAct(now);
    this.#wallMinusMonotonic = clock.wall() - now;
    this.#deadline = Math.max(this.#deadline, sentAt + times.leaseMs);
    if (!this.mayAct(now)) return;
    if (gap) this.#heldSince = now;
    if (this.#lapsed) {
      this.#lapsed = false;
      this.#options.onHeld();
    }
  }

  #lose(): void {
    if (this.#phase !== 'running') return;
    this.#phase = 'lost';
    this.#end();
    this.#options.onLost();
  }
}
