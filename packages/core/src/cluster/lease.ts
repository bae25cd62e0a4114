import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Guard } from '../contract/calls.ts';
import type { RecordStore } from '../contract/record-store.ts';

/** Wall and monotonic clocks that drift apart by more than this since the renewal was sent void the lease: the machine was suspended. */
const clockDriftMaxMs = 1_000;

/** For so long a leader that was deposed was seen to answer reads with what it had. */
const staleReadsMs = 20_000;

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

/** What both clocks showed just before a write was sent. */
export interface SentAt {
  readonly now: number;
  readonly wall: number;
}

interface Attempt {
  readonly sentAt: SentAt;
  readonly version: number;
}

/**
 * One record that its holder renews by compare-and-set on its own last revision.
 *
 * Invariant (I19, H6): `mayAct` is true only while some renewal that is proven applied was sent less than `leaseMs` ago, by whichever clock
 * moved on further since (the monotonic one stands still while the machine is suspended). An observer that waits `leaseMs` + margin from
 * its first sight of a revision, and then replaces that very revision, so always acts after the holder stopped. A lapse suspends; only a
 * record that shows another incarnation, or `gone`, ends the lease.
 */
export class Lease<Body extends { readonly incarnation: string; readonly state: string }> implements Guard {
  readonly #options: LeaseOptions<Body>;
  #body: Body;
  /** Without its last brace; none after the body changed. */
  #bodyText: string | undefined;
  #revision: number;
  #n: number;
  #deadline = Number.NEGATIVE_INFINITY;
  #heldSince = Number.POSITIVE_INFINITY;
  /** As of the renewal that the deadline counts from. */
  #wallMinusMonotonic = 0;
  #phase: 'running' | 'lost' | 'stopped' = 'running';
  #renewing = false;
  #again = false;
  #lapsed = true;
  /** Somebody was told "no" since the lease was last reported as held. */
  #denied = false;
  #inDoubt = false;
  /** Since when reads have known less than the last proven write. */
  #staleSince: number | undefined;
  /** The attempts that are not yet proven, by their n. */
  readonly #attempts = new Map<number, Attempt>();
  /** Counts the changes of the body. */
  #version = 0;
  readonly #waiting: { readonly version: number; readonly resolve: () => void }[] = [];
  #timer: Timer | undefined;

  /** `held` is the write that acquired the record. */
  constructor(options: LeaseOptions<Body>, held: { readonly revision: number; readonly n: number; readonly sentAt: SentAt }) {
    this.#options = options;
    this.#body = options.body;
    this.#revision = held.revision;
    this.#n = held.n;
    this.#extend(held.sentAt);
    this.#schedule();
  }

  mayAct(now: number): boolean {
    const drift = this.#options.clock.wall() - now - this.#wallMinusMonotonic;
    const latest = drift > 0 ? now + drift : now;
    if (latest < this.#deadline && drift < clockDriftMaxMs && drift > -clockDriftMaxMs) return true;
    this.#denied = true;
    return false;
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

  /**
   * Changes what the record says and renews at once. Resolves when the change is stored, or the lease has ended. With the state `gone` the
   * lease is void from this call on, and ends when that is stored: whoever reads it may take over at once.
   */
  update(change: Partial<Body>): Promise<void> {
    if (this.#phase !== 'running') return Promise.resolve();
    this.#body = { ...this.#body, ...change };
    this.#bodyText = undefined;
    if (this.#resigned) this.#deadline = Number.NEGATIVE_INFINITY;
    this.#version += 1;
    const version = this.#version;
    const stored = new Promise<void>((resolve) => this.#waiting.push({ version, resolve }));
    this.#renew();
    return stored;
  }

  /** Does not wait for the next beat: the store can be reached again. */
  renewNow(): void {
    if (this.#phase !== 'running') return;
    this.#renew();
    this.#schedule();
  }

  /** Stops renewing and acting. */
  stop(): void {
    if (this.#phase === 'running') this.#phase = 'stopped';
    this.#end();
  }

  get #resigned(): boolean {
    return this.#body.state === 'gone';
  }

  #end(): void {
    this.#deadline = Number.NEGATIVE_INFINITY;
    this.#timer?.cancel();
    this.#attempts.clear();
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
    this.#renew();
    this.#schedule();
  }

  #noticeLapse(): void {
    if (this.#lapsed || this.#phase !== 'running' || this.mayAct(this.#options.clock.now())) return;
    this.#lapsed = true;
    if (!this.#resigned) this.#tell(this.#options.onLapsed);
  }

  /** One renewal at a time; a request made meanwhile is served by one more. */
  #renew(): void {
    this.#again = true;
    if (this.#renewing) return;
    this.#renewing = true;
    void this.#renewWhileAsked();
  }

  /** Never rejects. */
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
    this.#renewing = false;
    this.#schedule();
  }

  async #write(): Promise<void> {
    const { store, key, clock } = this.#options;
    const n = this.#n + 1;
    this.#n = n;
    const attempt = { sentAt: { now: clock.now(), wall: clock.wall() }, version: this.#version };
    this.#attempts.set(n, attempt);
    const outcome = await store.write(key, this.#text(n), this.#revision);
    if (outcome.applied) this.#proven(outcome.revision, attempt);
    else await this.#readBack();
  }

  /** The body with `n` at its end: whoever reads it sees at once that nothing else has changed. */
  #text(n: number): string {
    this.#bodyText ??= JSON.stringify({ ...this.#body, n: undefined }).slice(0, -1);
    return `${this.#bodyText},"n":${n}}`;
  }

  /** After a refusal or no answer: what does the store hold? Only its own incarnation tells whose write it was. */
  async #readBack(): Promise<void> {
    const { store, key, parse } = this.#options;
    this.#inDoubt = true;
    const found = await store.read(key);
    if (this.#phase !== 'running') return;
    if (!found || found.revision < this.#revision) {
      this.#noteStale();
      return;
    }
    this.#staleSince = undefined;
    const record = parse(found.value);
    if (!record || record.incarnation !== this.#body.incarnation || record.state === 'gone') {
      this.#lose();
      return;
    }
    this.#revision = found.revision;
    const attempt = this.#attempts.get(record.n);
    if (attempt) this.#proven(found.revision, attempt);
    else this.#forgetOldAttempts();
  }

  /** The read knows less than the last proven write: it is stale (H3). If that does not end, the store was set back. */
  #noteStale(): void {
    const now = this.#options.clock.now();
    this.#staleSince ??= now;
    if (now - this.#staleSince > staleReadsMs) this.#lose();
  }

  /** Where reads are answered and writes are not. What is older than a lease proves nothing that would be of use. */
  #forgetOldAttempts(): void {
    const { clock, times } = this.#options;
    const oldest = clock.now() - times.leaseMs;
    for (const [n, attempt] of this.#attempts) if (attempt.sentAt.now < oldest) this.#attempts.delete(n);
  }

  #proven(revision: number, attempt: Attempt): void {
    if (this.#phase !== 'running') return;
    this.#revision = revision;
    this.#inDoubt = false;
    this.#staleSince = undefined;
    this.#attempts.clear();
    if (attempt.version < this.#version) this.#again = true;
    while (this.#waiting[0] && this.#waiting[0].version <= attempt.version) this.#waiting.shift()?.resolve();
    if (!this.#resigned) this.#extend(attempt.sentAt);
    else if (attempt.version === this.#version) this.stop();
  }

  #extend(sentAt: SentAt): void {
    const { clock, times, onHeld } = this.#options;
    const now = clock.now();
    const gap = !this.mayAct(now);
    const deadline = sentAt.now + times.leaseMs;
    if (deadline > this.#deadline) {
      this.#deadline = deadline;
      this.#wallMinusMonotonic = sentAt.wall - sentAt.now;
    }
    if (!this.mayAct(now)) return;
    if (gap) this.#heldSince = now;
    if (!this.#lapsed && !this.#denied) return;
    this.#lapsed = false;
    this.#denied = false;
    this.#tell(onHeld);
  }

  #lose(): void {
    if (this.#phase !== 'running') return;
    this.#phase = 'lost';
    this.#end();
    if (!this.#resigned) this.#tell(this.#options.onLost);
  }

  /** What the owner of the lease does with the news must not stop the renewals. */
  #tell(event: () => void): void {
    try {
      event();
    } catch (error) {
      this.#options.log.error({ err: error }, 'a listener of the lease failed');
    }
  }
}
