import type { Clock, Timer } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Counter } from '../base/metrics.ts';
import type { RecordStore } from '../contract/record-store.ts';
import type { Member, Members } from './members.ts';
import { generationOf, type Incarnated, type MemberRecord, memberKey, protocolVersion, sameIncarnation } from './records.ts';
import type { ShardTable } from './shard-table.ts';

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
  /** See `orphansOf`. */
  readonly orphans: () => readonly Incarnated[];
  /** No other incarnation of this node up to this generation can act any more: others are to know. */
  readonly onOutlived: (generation: number) => void;
  /** Incarnations that shards name, whose end has to stay known. Without it nothing is forgotten. */
  readonly owners?: () => readonly Incarnated[];
}

/** For so long a record that nobody needs is kept, by each observer's own clock. */
const keptMs = 600_000;

/**
 * Marks members gone that stopped renewing, and much later forgets them.
 *
 * Invariant (I19): a member is marked gone only by compare-and-set on a revision that stayed unchanged, in this observer's sight, for
 * `patienceMs`, all of it while the observer's own lease held without a gap. Where nobody can renew (broker down, no leader) the
 * observer's lease lapses too, and every countdown starts anew. Of a later incarnation of its own node a node says that it has ended when its own
 * lease has held for as long: the other one could have renewed only a record that was not this one's.
 */
export class Evictor {
  readonly #options: EvictorOptions;
  readonly #orphanSince = new Map<string, number>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: EvictorOptions) {
    this.#options = options;
    this.#schedule(options.checkMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#look());
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    let nextMs = this.#options.checkMs;
    try {
      // Nearly always there is nobody: then a look costs no further promise and no list.
      if (this.#anySilent()) await this.#evictSilent();
      const orphans = this.#options.orphans();
      if (orphans.length > 0) await this.#buryOrphans(orphans);
      else this.#orphanSince.clear();
      if (this.#anyOld()) await this.#forgetOld();
      nextMs = Math.min(nextMs, this.#firstSilentInMs());
    } catch (error) {
      this.#options.log.error({ err: error }, 'looking for members that are gone failed; it is tried again');
    }
    this.#schedule(nextMs);
  }

  /** When the first member will have been silent for too long, unless it renews before: nobody waits for the next look then. */
  #firstSilentInMs(): number {
    const { members, self, clock, leaseHeldSince } = this.#options;
    const heldSince = leaseHeldSince();
    if (heldSince === undefined) return Infinity;
    const now = clock.now();
    let first = Infinity;
    for (const { record, seenAt } of members.all()) {
      if (record.state === 'gone' || record.nodeId === self) continue;
      const leftMs = Math.max(seenAt, heldSince) + this.#patienceMs(record) - now;
      // For those that are silent already something else failed, which is tried again at the usual time.
      if (leftMs >= 0) first = Math.min(first, leftMs + 1);
    }
    return first;
  }

  #anySilent(): boolean {
    for (const member of this.#options.members.all()) if (this.#isSilent(member)) return true;
    return false;
  }

  async #evictSilent(): Promise<void> {
    for (const member of this.#options.members.all()) {
      const { record, revision } = member;
      if (this.#isSilent(member)) await this.#markGone({ ...record, state: 'gone' }, revision);
    }
  }

  #isSilent({ record, seenAt }: Member): boolean {
    if (record.state === 'gone' || record.nodeId === this.#options.self) return false;
    return this.#silent(seenAt, this.#patienceMs(record));
  }

  /** A member with a longer lease than this observer's may act for longer. */
  #patienceMs(record: MemberRecord): number {
    const { members, self, patienceMs } = this.#options;
    const ownLeaseMs = members.get(self)?.record.leaseMs ?? 0;
    return patienceMs + Math.max(0, (record.leaseMs ?? 0) - ownLeaseMs);
  }

  #silent(since: number, patienceMs: number): boolean {
    const heldSince = this.#stopped ? undefined : this.#options.leaseHeldSince();
    return heldSince !== undefined && this.#options.clock.now() - Math.max(since, heldSince) > patienceMs;
  }

  /** Who has no member record of its own is proven gone by writing one that says so: it could renew only if the record there were its own. */
  async #buryOrphans(orphans: readonly Incarnated[]): Promise<void> {
    const now = this.#options.clock.now();
    const seen = new Set(orphans.map((orphan) => orphan.incarnation));
    for (const known of this.#orphanSince.keys()) if (!seen.has(known)) this.#orphanSince.delete(known);
    for (const orphan of orphans) {
      const since = this.#orphanSince.get(orphan.incarnation);
      if (since === undefined) this.#orphanSince.set(orphan.incarnation, now);
      else if (this.#silent(since, this.#options.patienceMs)) await this.#bury(orphan);
    }
  }

  /** More may have been heard of it since it was found. */
  async #bury(orphan: Incarnated): Promise<void> {
    const { members, self, onOutlived } = this.#options;
    if (members.isOrphan(orphan)) await this.#markGone(tombstone(orphan), members.get(orphan.nodeId)?.revision ?? 0);
    else if (orphan.nodeId === self && members.isReplaced(orphan)) onOutlived(generationOf(orphan.incarnation));
  }

  #anyOld(): boolean {
    const { members } = this.#options;
    for (const { record, seenAt } of members.all()) if (record.state === 'gone' && this.#isOld(seenAt)) return true;
    for (const [, { seenAt }] of members.candidates()) if (this.#isOld(seenAt)) return true;
    return false;
  }

  /** The last thing that is known of an incarnation is needed for as long as a shard names it. */
  async #forgetOld(): Promise<void> {
    const { members, owners } = this.#options;
    if (!owners) return;
    let needed: ReadonlySet<string> | undefined;
    for (const { record, revision, seenAt } of members.all()) {
      if (record.state !== 'gone' || !this.#isOld(seenAt)) continue;
      needed ??= new Set(owners().map((owner) => owner.nodeId));
      if (!needed.has(record.nodeId)) await this.#forget(memberKey(record.nodeId), revision);
    }
    for (const [key, { revision, seenAt }] of members.candidates()) if (this.#isOld(seenAt)) await this.#forget(key, revision);
  }

  #isOld(seenAt: number): boolean {
    return this.#options.clock.now() - seenAt > keptMs;
  }

  async #forget(key: string, revision: number): Promise<void> {
    const { store, members, log } = this.#options;
    try {
      await store.forget(key, revision);
      const latest = await store.read(key);
      if (latest) members.onRecord(latest);
      else members.drop(key);
    } catch (error) {
      log.debug({ err: error, key }, 'a record that nobody needs could not be removed; it will be tried again');
    }
  }

  async #markGone(record: MemberRecord, revision: number): Promise<void> {
    const { store, members, log, evictions } = this.#options;
    const key = memberKey(record.nodeId);
    const value = JSON.stringify(record);
    try {
      let outcome = await store.write(key, value, revision);
      if (!outcome.applied) {
        const latest = await store.read(key);
        if (latest) members.onRecord(latest);
        // Missing: it could renew only if a record were there.
        if (latest || revision === 0 || this.#stopped) return;
        outcome = await store.write(key, value, 0);
        if (!outcome.applied) return;
      }
      evictions.inc();
      log.warn({ member: record.nodeId, incarnation: record.incarnation }, 'member stopped renewing its lease and was evicted');
      members.onRecord({ key, value, revision: outcome.revision });
    } catch (error) {
      log.debug({ err: error, member: record.nodeId }, 'eviction got no answer; it will be tried again');
    }
  }
}

/**
 * Owners of shards, and those to whom shards were released, of whom nobody will ever say by itself that they have ended, as in a store that was set
 * back; of this very node the others too.
 */
export function orphansOf(table: ShardTable, members: Members, self: Incarnated): readonly Incarnated[] {
  if (!members.synced) return [];
  const isFormer = (who: Incarnated): boolean => who.nodeId === self.nodeId && !sameIncarnation(who, self) && members.isReplaced(who);
  return table.named().filter((who) => members.isOrphan(who) || isFormer(who));
}

function tombstone(who: Incarnated): MemberRecord {
  return { ...who, n: 0, inbox: '', weight: 1, types: {}, state: 'gone', protocol: protocolVersion };
}
