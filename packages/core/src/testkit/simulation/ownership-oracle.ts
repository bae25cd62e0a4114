import { Decoder } from '../../base/decoder.ts';
import { shardOf } from '../../base/hash.ts';
import { frameKind, readFrameKind } from '../../cluster/frame.ts';
import { type MemberRecord, parseMember, parseShard, renewedMember, type ShardRecord } from '../../cluster/records.ts';
import { ReplyReader } from '../../cluster/reply-envelope.ts';
import type { StoredRecord } from '../../contract/record-store.ts';
import type { RecordTable } from '../../memory/record-table.ts';
import type { NodeWitness, SimulatedNode } from './simulated-node.ts';
import { simulatedCluster, type Surroundings } from './surroundings.ts';

/** For so long after a machine slept its clocks are not asked how long a lease holds. */
const sleepDoubtMs = 30_000;
/** In an outage of this length every lease ends, with the usual settings. */
const longOutageMs = 3_200;
/** For so long after such an outage nobody can have seen anybody be silent; with the usual settings, and clocks that run too fast. */
const unseenMs = 2_400;

/**
 * Knows who owns what by the records themselves, at the very moment, and holds every node to it:
 *
 * - A turn starts only at a node whose incarnation the shard's record names as owner, and which is not marked gone.
 * - No outcome of a turn leaves an incarnation that is marked gone, nor is replaced.
 * - An incarnation is marked gone by others only when its lease has ended by its own clock (I19).
 * - Nobody is marked gone for an outage of the records in which everybody was silent (I19).
 * - The epoch of a shard only rises (I2).
 */
export class OwnershipOracle implements NodeWitness {
  readonly #around: Surroundings;
  readonly #nodeOf: (nodeId: string) => SimulatedNode | undefined;
  readonly #members = new Map<string, MemberRecord>();
  /** What was written last under each key. */
  readonly #latest = new Map<string, { readonly text: string; readonly record: MemberRecord }>();
  readonly #gone = new Set<string>();
  readonly #shards = new Map<number, ShardRecord>();
  /** Of each shard, the epochs that did not begin with the state of the one before. */
  readonly #losses = new Map<number, number[]>();
  readonly #decoder = new Decoder();
  /** Records were set back, and not all has come to rest since. */
  #isSetBack = false;
  #wasSetBack = false;
  #outageEndsMs = Number.NEGATIVE_INFINITY;
  evictions = 0;
  moves = 0;
  losses = 0;

  constructor(around: Surroundings, nodeOf: (nodeId: string) => SimulatedNode | undefined) {
    this.#around = around;
    this.#nodeOf = nodeOf;
    const { members, shards } = around.hub.cluster(simulatedCluster);
    members.observe((stored) => this.#memberWritten(stored));
    shards.observe((stored) => this.#shardWritten(stored));
  }

  /** While records that were set back have their effect, ownership is not judged. */
  get judges(): boolean {
    return !this.#isSetBack;
  }

  /** Records were set back at some time. */
  get wasSetBack(): boolean {
    return this.#wasSetBack;
  }

  isGone(incarnation: string): boolean {
    return this.#gone.has(incarnation);
  }

  /** Whether the record of the shard names the incarnation as its owner. */
  owns(shard: number, incarnation: string): boolean {
    const record = this.#shards.get(shard);
    return record?.state === 'owned' && record.incarnation === incarnation;
  }

  shardOf(key: string): number {
    return shardOf(key, this.#around.options.shards);
  }

  /** Whether the state of a shard may have been lost between two of its epochs. */
  wasLost(shard: number, afterEpoch: number, uptoEpoch: number): boolean {
    return this.#losses.get(shard)?.some((epoch) => epoch > afterEpoch && epoch <= uptoEpoch) === true;
  }

  turnStarts(node: SimulatedNode, key: string): void {
    if (this.#isSetBack) return;
    const shard = this.shardOf(key);
    const record = this.#shards.get(shard);
    const { incarnation, name } = node;
    if (this.#gone.has(incarnation)) this.#fail(`${name} starts a turn for ${key} though ${incarnation} is marked gone`);
    else if (record?.incarnation !== incarnation || record.state !== 'owned') {
      this.#fail(`${name} (${incarnation}) starts a turn for ${key} of shard ${shard}, whose record says ${JSON.stringify(record)}`);
    }
  }

  frameSent(incarnation: string, frame: Uint8Array): void {
    if (!this.#gone.has(incarnation) || readFrameKind(frame) !== frameKind.reply || this.#isSetBack) return;
    const reader = new ReplyReader(frame, this.#decoder);
    while (reader.next()) {
      if (reader.ok || reader.error().executed === 'yes') this.#fail(`${incarnation} answers though it is marked gone`);
    }
  }

  /** The records are unavailable for everybody from now on. */
  outage(forMs: number): void {
    if (forMs >= longOutageMs) this.#outageEndsMs = this.#around.wires.trueMs + forMs;
  }

  /** The tables hold something else than what was written last. */
  setBack(): void {
    const { members, shards } = this.#around.hub.cluster(simulatedCluster);
    this.#isSetBack = true;
    this.#wasSetBack = true;
    this.#members.clear();
    this.#shards.clear();
    const each = <T>(table: RecordTable, parse: (text: string) => T | undefined, take: (record: T) => void): void => {
      for (const { value } of table.records()) {
        const record = parse(value);
        if (record) take(record);
      }
    };
    each(members, parseMember, (record) => {
      this.#members.set(record.nodeId, record);
      if (record.state !== 'gone') this.#gone.delete(record.incarnation);
    });
    each(shards, parseShard, (record) => this.#shards.set(record.shard, record));
  }

  /** Everything has come to rest. */
  settled(): void {
    if (!this.#isSetBack) return;
    this.#isSetBack = false;
    for (const [shard, { epoch }] of this.#shards) this.#lost(shard, epoch);
  }

  #memberWritten({ key, value }: StoredRecord): void {
    if (!key.startsWith('member.')) return;
    const known = this.#latest.get(key);
    const record = (known && renewedMember(known, value)) ?? parseMember(value);
    if (!record) return;
    this.#latest.set(key, { text: value, record });
    const { nodeId, incarnation, state } = record;
    const before = this.#members.get(nodeId);
    this.#members.set(nodeId, record);
    if (before?.incarnation === incarnation && before.state === state) return;
    this.#around.note('members', `${nodeId} ${incarnation} ${state}`);
    if (before && before.incarnation !== incarnation) this.#ended(nodeId, before.incarnation);
    if (state === 'gone') this.#ended(nodeId, incarnation);
  }

  #ended(nodeId: string, incarnation: string): void {
    if (this.#gone.has(incarnation)) return;
    this.#gone.add(incarnation);
    this.evictions += 1;
    const node = this.#nodeOf(nodeId);
    if (!node || node.state !== 'up' || this.#isSetBack) return;
    const sinceOutageMs = this.#around.wires.trueMs - this.#outageEndsMs;
    if (sinceOutageMs > 0 && sinceOutageMs < unseenMs)
      this.#fail(
        `I19: ${incarnation} of ${nodeId} is marked gone ${sinceOutageMs.toFixed(0)} ms after an outage in which nobody could renew`,
      );
    if (this.#around.wires.trueMs - node.suspendedAtMs < sleepDoubtMs) return;
    const inspection = node.node?.inspect(0);
    if (inspection?.incarnation !== incarnation || inspection.leaseRemainingMs <= 0) return;
    this.#fail(`I19: ${incarnation} of ${nodeId} is marked gone, but may act for ${inspection.leaseRemainingMs.toFixed(1)} ms`);
  }

  #shardWritten({ value }: StoredRecord): void {
    const record = parseShard(value);
    if (!record) return;
    const { shard, epoch, state, nodeId, incarnation } = record;
    const before = this.#shards.get(shard);
    this.#shards.set(shard, record);
    this.#around.note('shards', `${shard} ${state} ${nodeId} ${incarnation} epoch ${epoch} ${record.successor?.nodeId ?? ''}`);
    const rises = state === 'owned' ? epoch > (before?.epoch ?? 0) : epoch === before?.epoch;
    if (!rises && !this.#isSetBack) this.#fail(`I2: shard ${shard} goes from epoch ${before?.epoch} to ${epoch} ${state}`);
    if (state !== 'owned') return;
    this.moves += 1;
    const isReleased = before?.state === 'releasing';
    const keepsState = isReleased && (before.successor?.incarnation === incarnation || before.incarnation === incarnation);
    if (!keepsState) this.#lost(shard, epoch);
  }

  #lost(shard: number, epoch: number): void {
    const known = this.#losses.get(shard);
    if (known) known.push(epoch);
    else this.#losses.set(shard, [epoch]);
    this.losses += 1;
  }

  #fail(what: string): void {
    this.#around.fail(what);
  }
}
