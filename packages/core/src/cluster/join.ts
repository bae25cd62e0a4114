import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { RecordStore, StoredRecord } from '../contract/record-store.ts';
import { Candidate } from './candidate.ts';
import { Lease, type LeaseOptions, type LeaseTimes, type SentAt } from './lease.ts';
import { generationOf, incarnationId, leaseMsOf, type MemberRecord, memberKey, outlivedOf, parseMember } from './records.ts';

/** How often a node that waits for its id looks again, and how often it says so. */
const lookMs = 250;
const sayEveryMs = 10_000;
/** How long a node that was stopped while it joined tries to say that it is gone. */
const goodbyeMs = 1_000;

export interface JoinOptions {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly times: LeaseTimes;
  readonly marginMs: number;
  readonly onDuplicateId: 'wait' | 'exit';
  /** All of the record but what joining decides. */
  readonly describe: (incarnation: string) => Omit<MemberRecord, 'incarnation' | 'n'>;
  readonly events: Pick<LeaseOptions<MemberRecord>, 'onLost' | 'onHeld' | 'onLapsed'>;
  /** Ends the wait, for a node that is stopped while it joins. */
  readonly signal: AbortSignal;
}

/**
 * Takes the member record of this node id and returns the lease on it. A record that says `gone` (or none) is taken at once; a live one, or
 * one that cannot be read, is never stolen: it is replaced only after it stayed unchanged for its `leaseMs` + margin while this process
 * could itself renew a record (its candidate lease), which is the rule for every observer (I19).
 */
export async function join(options: JoinOptions): Promise<Lease<MemberRecord>> {
  const application = new Application(options);
  try {
    while (!options.signal.aborted) {
      const lease = await application.attempt().catch((error: unknown) => {
        if (error instanceof PerkeyError && error.code === 'store.unavailable') return undefined;
        throw error;
      });
      if (lease && options.signal.aborted) await leave(options, lease);
      else if (lease) return lease;
      await pause(options, lookMs);
    }
    throw new PerkeyError('node.stopped', 'the node was stopped while it waited to join');
  } finally {
    await application.end();
  }
}

async function leave(options: JoinOptions, lease: Lease<MemberRecord>): Promise<void> {
  await Promise.race([lease.update({ state: 'gone' }), pause(options, goodbyeMs)]);
  lease.stop();
}

/** A write that was sent for the record, and may have been applied. */
interface Tried {
  readonly body: MemberRecord;
  readonly replaces: number;
  readonly sentAt: SentAt;
}

/** One node's wish for one node id. */
class Application {
  readonly #options: JoinOptions;
  readonly #candidate: Candidate;
  readonly #nodeId: string;
  #tried: Tried | undefined;
  /** The holder's record, where there is one, and since when it has been seen as it is. */
  #seen: { readonly revision: number; readonly at: number } | undefined;
  #renewals = 0;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(options: JoinOptions) {
    this.#options = options;
    this.#nodeId = options.describe('').nodeId;
    this.#candidate = new Candidate(options, this.#nodeId);
  }

  end(): Promise<void> {
    return this.#candidate.end();
  }

  /** `undefined` when it has to be tried again. Rejects with `store.unavailable`, and with `node.duplicate_id` where that was asked for. */
  async attempt(): Promise<Lease<MemberRecord> | undefined> {
    const { store, clock } = this.#options;
    const key = memberKey(this.#nodeId);
    const found = await store.read(key);
    const record = found && parseMember(found.value);
    const mine = this.#tried;
    if (found && mine && found.value === JSON.stringify(mine.body)) return this.#hold(found.revision, mine);
    if (found && record?.state !== 'gone' && !this.#mayReplace(found, record)) return undefined;
    const now = { now: clock.now(), wall: clock.wall() };
    const replaces = found?.revision ?? 0;
    if (mine?.replaces !== replaces) this.#tried = { body: this.#bodyAfter(record), replaces, sentAt: now };
    const { body } = this.#tried as Tried;
    const outcome = await store.write(key, JSON.stringify(body), replaces);
    return outcome.applied ? this.#hold(outcome.revision, { body, replaces, sentAt: now }) : undefined;
  }

  #bodyAfter(former: MemberRecord | undefined): MemberRecord {
    const { clock, random, describe, times } = this.#options;
    const generation = Math.max(Math.floor(clock.wall()), former ? Math.max(generationOf(former.incarnation), outlivedOf(former)) + 1 : 0);
    const incarnation = incarnationId(generation, random.hex(4));
    return { ...describe(incarnation), incarnation, n: 1, leaseMs: times.leaseMs };
  }

  #hold(revision: number, { body, sentAt }: Tried): Lease<MemberRecord> {
    const { store, times, clock, log, events } = this.#options;
    const key = memberKey(this.#nodeId);
    return new Lease({ store, key, body, times, clock, log, parse: parseMember, ...events }, { revision, n: 1, sentAt });
  }

  /** True once the holder's revision stayed unchanged long enough, by the rule above. */
  #mayReplace(found: StoredRecord, record: MemberRecord | undefined): boolean {
    const { clock, times, marginMs } = this.#options;
    const now = clock.now();
    this.#candidate.hold();
    if (this.#seen?.revision !== found.revision) {
      if (this.#seen) this.#renewals += 1;
      this.#seen = { revision: found.revision, at: now };
      this.#refuseDuplicate(record);
    }
    this.#say(record, now);
    const heldSince = this.#candidate.heldSince(now);
    const patienceMs = leaseMsOf(record, times.leaseMs) + marginMs;
    return heldSince !== undefined && now - Math.max(heldSince, this.#seen.at) > patienceMs;
  }

  #refuseDuplicate(record: MemberRecord | undefined): void {
    if (this.#options.onDuplicateId !== 'exit' || this.#renewals === 0) return;
    throw new PerkeyError('node.duplicate_id', `node id "${this.#nodeId}" is held by a live node; start this one under another id`, {
      details: { nodeId: this.#nodeId, ...(record && { incarnation: record.incarnation }) },
    });
  }

  #say(record: MemberRecord | undefined, now: number): void {
    if (now - this.#saidAt < sayEveryMs) return;
    this.#saidAt = now;
    const fields = { nodeId: this.#nodeId, holder: record?.incarnation };
    this.#options.log.warn(fields, 'another node holds this id; waiting until it is gone (its lease ends, or it is stopped)');
  }
}

function pause(options: JoinOptions, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    options.clock.setTimer(delayMs, resolve);
  });
}
