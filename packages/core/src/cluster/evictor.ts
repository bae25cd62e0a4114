import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Counter } from '../base/metrics.ts';
import type { RecordStore } from '../contract/record-store.ts';
import type { Member, Members } from './members.ts';
import { type Incarnated, type MemberRecord, memberKey, protocolVersion } from './records.ts';

export interface EvictorOptions {
  readonly store: RecordStore;
  readonly members: Members;
  readonly clock: Clock;
  readonly log: Logger;
  readonly evictions: Counter;
  readonly self: string;
  /** `leaseMs` + `marginMs`. */
  readonly patienceMs: number;
  readonly checkMs: number;
  /** Since when the observer's own lease has held without a gap; `undefined` while it does not hold. */
  readonly leaseHeldSince: () => number | undefined;
  /** Incarnations that own shards though no member record is known for them. */
  readonly orphans: () => readonly Incarnated[];
}

/**
 * Marks members gone that stopped renewing.
 *
 * Invariant (I19): a member is marked gone only by compare-and-set on a revision that stayed unchanged, in this observer's sight, for
 * `patienceMs`, all of it while the observer's own lease held without a gap. Where nobody can renew (broker down, no leader) the
 * observer's lease lapses too, and every countdown starts anew.
 */
export class Evictor {
  readonly #options: EvictorOptions;
  readonly #orphanSince = new Map<string, number>();
  #timer: Timer | undefined;
  #busy = false;

  constructor(options: EvictorOptions) {
    this.#options = options;
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#busy = true;
  }

  #schedule(): void {
    this.#timer = this.#options.clock.setTimer(this.#options.checkMs, () => {
      void this.#check().finally(() => {
        if (this.#timer) this.#schedule();
      });
    });
  }

  async #check(): Promise<void> {
    if (this.#busy) return;
    for (const member of this.#options.members.all()) {
      if (member.record.state !== 'gone' && member.record.nodeId !== this.#options.self && this.#silent(member.seenAt)) {
        await this.#evict(member);
      }
    }
    await this.#buryOrphans();
  }

  #silent(since: number): boolean {
    const heldSince = this.#options.leaseHeldSince();
    return heldSince !== undefined && this.#options.clock.now() - Math.max(since, heldSince) > this.#options.patienceMs;
  }

  async #evict(member: Member): Promise<void> {
    await this.#markGone({ ...member.record, state: 'gone' }, member.revision);
  }

  /** An owner without a member record is proven gone by creating its record as gone: it could renew only if that record were its own. */
  async #buryOrphans(): Promise<void> {
    const now = this.#options.clock.now();
    const orphans = this.#options.orphans();
    const seen = new Set(orphans.map((orphan) => orphan.incarnation));
    for (const known of this.#orphanSince.keys()) if (!seen.has(known)) this.#orphanSince.delete(known);
    for (const orphan of orphans) {
      const since = this.#orphanSince.get(orphan.incarnation);
      if (since === undefined) this.#orphanSince.set(orphan.incarnation, now);
      else if (this.#silent(since)) await this.#markGone(tombstone(orphan), 0);
    }
  }

  async #markGone(record: MemberRecord, revision: number): Promise<void> {
    const { store, members, log, evictions } = this.#options;
    const key = memberKey(record.nodeId);
    const value = JSON.stringify(record);
    try {
      const outcome = await store.write(key, value, revision);
      if (outcome.applied) {
        evictions.inc();
        log.warn({ member: record.nodeId, incarnation: record.incarnation }, 'member stopped renewing its lease and was evicted');
        members.onRecord({ key, value, revision: outcome.revision });
        return;
      }
      const latest = await store.read(key);
      if (latest) members.onRecord(latest);
    } catch (error) {
      log.debug({ err: error, member: record.nodeId }, 'eviction got no answer; it will be tried again');
    }
  }
}

function tombstone(who: Incarnated): MemberRecord {
  return { ...who, n: 0, inbox: '', weight: 1, types: {}, state: 'gone', protocol: protocolVersion };
}
