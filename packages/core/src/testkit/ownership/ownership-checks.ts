import type { StoredRecord } from '../../contract/record-store.ts';
import { type MemberRecord, parseMember, parseShard } from '../../cluster/records.ts';

/** What may be said of one incarnation while it is judged. */
export interface Judged {
  readonly nodeId: string;
  readonly incarnation: string;
  /** It runs, its lease holds, and it takes requests for the shard. */
  serves(shard: number): boolean;
  /** Its lease holds, by its own clocks; false for a process that does not run. */
  mayAct(): boolean;
}

interface ShardTruth {
  epoch: number;
  openedEpoch: number;
  count: number;
  /** The incarnations that owned it since it was last seen opened with the right count. */
  owners: string[];
  /** It was given to nobody since. */
  isFreed: boolean;
}

/** What must hold at every step (I1, I2, I19, and that planned moves lose nothing). Throws at once where it does not. */
export class OwnershipChecks {
  readonly #sessions = new Set<Judged>();
  readonly #shards: ShardTruth[];
  /** Incarnations that were evicted, or whose drain ran out of time: what they held is lost. */
  readonly #fallen = new Set<string>();
  readonly #memberNow = new Map<string, { incarnation: string; isGone: boolean }>();
  #failure: Error | undefined;
  carriedMoves = 0;
  evictions = 0;
  losses = 0;

  constructor(shards: number) {
    this.#shards = Array.from({ length: shards }, () => ({ epoch: 0, openedEpoch: 0, count: 0, owners: [], isFreed: false }));
  }

  /** The first thing that did not hold, whoever caught the error. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  began(session: Judged): void {
    this.#sessions.add(session);
  }

  ended(session: Judged): void {
    this.#sessions.delete(session);
  }

  /** Only a record that says so ends an incarnation. */
  lost(incarnation: string, record: MemberRecord | undefined): void {
    if (record?.incarnation === incarnation && record.state !== 'gone') this.fail(`${incarnation} gave up though its record stands`);
  }

  fell(incarnation: string): void {
    this.#fallen.add(incarnation);
  }

  /** I1. */
  single(shard: number): Judged | undefined {
    let found: Judged | undefined;
    for (const session of this.#sessions) {
      if (!session.serves(shard)) continue;
      if (found) this.fail(`I1: shard ${shard} is served by ${found.incarnation} of ${found.nodeId} and ${session.incarnation}`);
      found = session;
    }
    return found;
  }

  memberWritten(stored: StoredRecord, by: string): void {
    const record = parseMember(stored.value);
    if (!record || !stored.key.startsWith('member.')) return;
    const before = this.#memberNow.get(record.nodeId);
    const isGone = record.state === 'gone';
    this.#memberNow.set(record.nodeId, { incarnation: record.incarnation, isGone });
    if (before && before.incarnation !== record.incarnation && !before.isGone) this.#evicted(before.incarnation);
    if (isGone && by !== record.nodeId) this.#evicted(record.incarnation);
    if (!isGone) return;
    for (const session of this.#sessions)
      if (session.incarnation === record.incarnation && session.mayAct())
        this.fail(`${by} wrote ${record.incarnation} gone, which may act`);
  }

  #evicted(incarnation: string): void {
    this.evictions += 1;
    this.#fallen.add(incarnation);
    for (const session of this.#sessions)
      if (session.incarnation === incarnation && session.mayAct()) this.fail(`I19: ${incarnation} was evicted while it may act`);
  }

  shardWritten(stored: StoredRecord): void {
    const record = parseShard(stored.value);
    const truth = record && this.#shards[record.shard];
    if (!record || !truth) return;
    const rises = record.state === 'owned' ? record.epoch > truth.epoch : record.epoch === truth.epoch;
    if (!rises) this.fail(`I2: shard ${record.shard} went from epoch ${truth.epoch} to ${record.epoch} ${record.state}`);
    truth.epoch = record.epoch;
    if (record.state === 'owned') truth.owners.push(record.incarnation);
    if (record.state === 'free') truth.isFreed = true;
  }

  opened(by: Judged, shard: number, epoch: number, count: number): void {
    const truth = this.#shards[shard];
    if (!truth) this.fail(`shard ${shard} was opened`);
    if (epoch < truth.openedEpoch) {
      // Who learns late that it owned the shard for a moment does no harm, as long as it may not act.
      if (by.mayAct()) this.fail(`shard ${shard} was opened with epoch ${epoch} after ${truth.openedEpoch}`);
      return;
    }
    const isMove = epoch > truth.openedEpoch;
    truth.openedEpoch = epoch;
    if (by.serves(shard)) this.single(shard);
    if (count !== truth.count) {
      const isExcused = count === 0 && (truth.isFreed || truth.owners.some((owner) => this.#fallen.has(owner)));
      if (!isExcused)
        this.fail(
          `shard ${shard} was opened by ${by.incarnation} with ${count} instead of ${truth.count}; owners: ${truth.owners.join(' ')}`,
        );
      this.losses += 1;
    } else if (count > 0 && isMove) this.carriedMoves += 1;
    truth.count = count;
    truth.owners = truth.owners.slice(Math.max(0, truth.owners.lastIndexOf(by.incarnation)));
    truth.isFreed = false;
  }

  counted(shard: number, count: number): void {
    const truth = this.#shards[shard];
    if (!truth || count !== truth.count + 1) this.fail(`shard ${shard} counted ${count} after ${truth?.count}`);
    truth.count = count;
  }

  /** Keeps the first one, since errors may be caught on their way. */
  fail(message: string): never {
    this.#failure ??= new Error(message);
    throw this.#failure;
  }
}
