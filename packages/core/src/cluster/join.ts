import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { RecordStore, StoredRecord } from '../contract/record-store.ts';
import { Lease, type LeaseOptions, type LeaseTimes } from './lease.ts';
import { generationOf, incarnationId, type MemberRecord, memberKey, parseMember } from './records.ts';

/** How often a node that waits for its id looks again, and how often it says so. */
const lookMs = 250;
const sayEveryMs = 10_000;

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
 * Takes the member record of this node id and returns the lease on it. A record that says `gone` (or none) is taken at once; a live one
 * is never stolen: it is replaced only after it stayed unchanged for `leaseMs` + margin while this process could itself renew a record
 * (its candidate lease), which is the rule for every observer (I19).
 */
export async function join(options: JoinOptions): Promise<Lease<MemberRecord>> {
  const waiting = new Wait(options);
  try {
    while (!options.signal.aborted) {
      const lease = await attempt(options, waiting).catch((error: unknown) => {
        if (error instanceof PerkeyError && error.code !== 'store.unavailable') throw error;
        return undefined;
      });
      if (lease) return lease;
      await pause(options, lookMs);
    }
    throw new PerkeyError('node.stopped', 'the node was stopped while it waited to join');
  } finally {
    await waiting.end();
  }
}

async function attempt(options: JoinOptions, waiting: Wait): Promise<Lease<MemberRecord> | undefined> {
  const { store, clock, random } = options;
  const { nodeId } = options.describe('');
  const found = await store.read(memberKey(nodeId));
  const record = found && parseMember(found.value);
  if (found && record && record.state !== 'gone' && !waiting.mayReplace(found, record)) return undefined;
  const generation = Math.max(Math.floor(clock.wall()), record ? generationOf(record.incarnation) + 1 : 0);
  const incarnation = incarnationId(generation, random.hex(4));
  const body: MemberRecord = { ...options.describe(incarnation), incarnation, n: 1 };
  const sentAt = { now: clock.now(), wall: clock.wall() };
  const key = memberKey(nodeId);
  const outcome = await store.write(key, JSON.stringify(body), found?.revision ?? 0);
  if (!outcome.applied) return undefined;
  const held = { revision: outcome.revision, n: 1, sentAt };
  return new Lease({ store, key, body, times: options.times, clock, log: options.log, parse: parseMember, ...options.events }, held);
}

/** A node that finds its id taken: it holds a candidate lease, watches the holder, and says what it waits for. */
class Wait {
  readonly #options: JoinOptions;
  #candidate: Lease<MemberRecord> | undefined;
  #candidateKey = '';
  #seen: { readonly revision: number; readonly at: number } | undefined;
  #renewals = 0;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(options: JoinOptions) {
    this.#options = options;
  }

  /** True once the holder's revision stayed unchanged long enough, by the rule above. */
  mayReplace(found: StoredRecord, record: MemberRecord): boolean {
    const { clock, times, marginMs } = this.#options;
    const now = clock.now();
    void this.#hold(record);
    if (this.#seen?.revision !== found.revision) {
      if (this.#seen) this.#renewals += 1;
      this.#seen = { revision: found.revision, at: now };
      this.#refuseDuplicate(record);
    }
    this.#say(record, now);
    const heldSince = this.#candidate?.heldSince(now);
    return heldSince !== undefined && now - Math.max(heldSince, this.#seen.at) > times.leaseMs + marginMs;
  }

  async end(): Promise<void> {
    this.#candidate?.stop();
    if (this.#candidateKey) await this.#options.store.forget(this.#candidateKey, Number.MAX_SAFE_INTEGER).catch(() => undefined);
  }

  #refuseDuplicate(record: MemberRecord): void {
    if (this.#options.onDuplicateId !== 'exit' || this.#renewals === 0) return;
    throw new PerkeyError('node.duplicate_id', `node id "${record.nodeId}" is held by a live node; start this one under another id`, {
      details: { nodeId: record.nodeId, incarnation: record.incarnation },
    });
  }

  #say(record: MemberRecord, now: number): void {
    if (now - this.#saidAt < sayEveryMs) return;
    this.#saidAt = now;
    const fields = { nodeId: record.nodeId, holder: record.incarnation };
    this.#options.log.warn(fields, 'another node holds this id; waiting until it is gone (its lease ends, or it is stopped)');
  }

  async #hold(record: MemberRecord): Promise<void> {
    if (this.#candidateKey) return;
    const { store, clock, random, log, times } = this.#options;
    const incarnation = incarnationId(0, random.hex(8));
    this.#candidateKey = `candidate.${record.nodeId}.${incarnation}`;
    const body: MemberRecord = { ...this.#options.describe(incarnation), incarnation, n: 1, state: 'joining' };
    const sentAt = { now: clock.now(), wall: clock.wall() };
    const outcome = await store.write(this.#candidateKey, JSON.stringify(body), 0).catch(() => undefined);
    if (!outcome?.applied || this.#options.signal.aborted) {
      this.#candidateKey = '';
      return;
    }
    const ignore = (): void => {};
    const events = { onLost: ignore, onHeld: ignore, onLapsed: ignore };
    const held = { revision: outcome.revision, n: 1, sentAt };
    this.#candidate = new Lease({ store, key: this.#candidateKey, body, times, clock, log, parse: parseMember, ...events }, held);
  }
}

function pause(options: JoinOptions, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    options.clock.setTimer(delayMs, resolve);
  });
}
