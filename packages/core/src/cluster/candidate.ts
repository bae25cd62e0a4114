import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { RecordStore } from '../contract/record-store.ts';
import { Lease, type LeaseTimes } from './lease.ts';
import { candidateKey, incarnationId, type MemberRecord, parseMember } from './records.ts';

export interface CandidateOptions {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly times: LeaseTimes;
  readonly describe: (incarnation: string) => Omit<MemberRecord, 'incarnation' | 'n'>;
}

/** A record that a waiting process renews for no other reason than to know that it could have, all the time that it watched another one. */
export class Candidate {
  readonly #options: CandidateOptions;
  readonly #body: MemberRecord;
  readonly #key: string;
  #lease: Lease<MemberRecord> | undefined;
  #writing: Promise<void> | undefined;
  #hasBegun = false;
  #hasEnded = false;

  constructor(options: CandidateOptions, nodeId: string) {
    this.#options = options;
    const incarnation = incarnationId(0, options.random.hex(8));
    this.#body = { ...options.describe(incarnation), incarnation, n: 1, state: 'joining' };
    this.#key = candidateKey(nodeId, incarnation);
  }

  /** Since when it has been renewed without a gap; `undefined` while it is not. */
  heldSince(now: number): number | undefined {
    return this.#lease?.heldSince(now);
  }

  /** Begins to hold it, where that did not succeed yet. */
  hold(): void {
    if (this.#lease || this.#writing || this.#hasEnded) return;
    this.#hasBegun = true;
    this.#writing = this.#write()
      .catch((error: unknown) => this.#options.log.debug({ err: error }, 'the candidate record could not be written; it is tried again'))
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Stops renewing and removes the record. Never rejects. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    this.#lease?.stop();
    await this.#writing;
    if (this.#hasBegun) await this.#options.store.forget(this.#key, Number.MAX_SAFE_INTEGER - 1).catch(() => undefined);
  }

  /** An attempt without an answer shows as a refusal of the next one. */
  async #write(): Promise<void> {
    const { store, clock, log, times } = this.#options;
    const sentAt = { now: clock.now(), wall: clock.wall() };
    const outcome = await store.write(this.#key, JSON.stringify(this.#body), 0);
    const revision = outcome.applied ? outcome.revision : (await store.read(this.#key))?.revision;
    if (revision === undefined || this.#hasEnded) return;
    const ignore = (): void => {};
    const events = { onLost: ignore, onHeld: ignore, onLapsed: ignore };
    // Where an earlier attempt was applied, this one's time proves nothing; the first renewal does.
    const held = { revision, n: 1, sentAt: outcome.applied ? sentAt : { ...sentAt, now: Number.NEGATIVE_INFINITY } };
    this.#lease = new Lease({ store, key: this.#key, body: this.#body, times, clock, log, parse: parseMember, ...events }, held);
  }
}
