import type { ControlLink, StoredRecord } from '@perkey/core';
import { nats, type NatsOptions } from '@perkey/nats';
import { environmentOf } from '../../nats-fixture.ts';
import { Waiting } from './waiting.ts';

export interface ShardSeen {
  readonly shard: number;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly epoch: number;
  readonly state: 'owned' | 'releasing' | 'free';
  readonly revision: number;
}

export interface MemberSeen {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly n: number;
  readonly state: 'joining' | 'active' | 'draining' | 'gone';
}

/** Follows the records of a cluster from outside, on a connection of its own that writes nothing. */
export class Observer implements AsyncDisposable {
  /** As last seen. */
  readonly shards = new Map<number, ShardSeen>();
  readonly members = new Map<string, MemberSeen>();
  /** Every shard record seen, in order. */
  readonly grants: ShardSeen[] = [];
  /** Every change of a member's incarnation or state, in order. */
  readonly turnover: MemberSeen[] = [];
  readonly #waiting = new Waiting();
  readonly #link: ControlLink;
  readonly #shardCount: number;
  #syncs = 0;

  private constructor(link: ControlLink, shardCount: number) {
    this.#link = link;
    this.#shardCount = shardCount;
  }

  static async start(cluster: string, options: NatsOptions, shardCount: number): Promise<Observer> {
    const environment = environmentOf({ cluster, connectTimeoutMs: 20_000 });
    const link = await nats(options).openControl('observer', { onState: () => {} }, environment);
    const observer = new Observer(link, shardCount);
    const onSynced = (): void => observer.#synced();
    await link.shards.watch({ onRecord: (record) => observer.#shard(record), onSynced });
    await link.members.watch({ onRecord: (record) => observer.#member(record), onSynced });
    return observer;
  }

  until(what: string, holds: () => boolean, limitMs: number = 20_000): Promise<void> {
    const seen = (): unknown => ({ members: [...this.members.values()], owned: Object.fromEntries(this.#count()), syncs: this.#syncs });
    return this.#waiting.until(what, holds, limitMs, seen);
  }

  /** Resolves when these nodes and no others own all shards, in equal parts. */
  settled(nodeIds: readonly string[], limitMs: number = 20_000): Promise<void> {
    const least = Math.floor(this.#shardCount / nodeIds.length);
    return this.until(
      `${nodeIds.join(', ')} have all shards in equal parts`,
      () => {
        const owned = this.#count();
        let sum = 0;
        for (const nodeId of nodeIds) {
          const count = owned.get(nodeId) ?? 0;
          if (count < least) return false;
          sum += count;
        }
        return sum === this.#shardCount;
      },
      limitMs,
    );
  }

  /** Owner, epoch and revision of every shard: equal texts mean that nothing was written in between. */
  snapshot(): string {
    const rows = [...this.shards.values()].toSorted((a, b) => a.shard - b.shard);
    return rows.map((row) => `${row.shard} ${row.state} ${row.nodeId} ${row.incarnation} ${row.epoch} ${row.revision}`).join('\n');
  }

  /** The same, straight from the store. */
  async readSnapshot(): Promise<string> {
    const shards = Array.from({ length: this.#shardCount }, (_, shard) => shard);
    const records = await Promise.all(shards.map((shard) => this.#link.shards.read(`shard.${shard}`)));
    for (const record of records) if (record) this.#shard(record);
    return this.snapshot();
  }

  ownerOf(shard: number): ShardSeen | undefined {
    return this.shards.get(shard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link.close();
  }

  /** Shards by owner; only those that a living incarnation owns. */
  #count(): Map<string, number> {
    const owned = new Map<string, number>();
    for (const { state, nodeId, incarnation } of this.shards.values()) {
      const member = this.members.get(nodeId);
      if (state !== 'owned' || member?.incarnation !== incarnation || member.state === 'gone') continue;
      owned.set(nodeId, (owned.get(nodeId) ?? 0) + 1);
    }
    return owned;
  }

  #synced(): void {
    this.#syncs += 1;
    this.#waiting.look();
  }

  #shard({ key, value, revision }: StoredRecord): void {
    if (!key.startsWith('shard.')) return;
    const seen: ShardSeen = { ...(JSON.parse(value) as ShardSeen), revision };
    if ((this.shards.get(seen.shard)?.revision ?? 0) >= revision) return;
    this.shards.set(seen.shard, seen);
    this.grants.push(seen);
    this.#waiting.look();
  }

  #member({ key, value }: StoredRecord): void {
    if (!key.startsWith('member.')) return;
    const seen = JSON.parse(value) as MemberSeen;
    const before = this.members.get(seen.nodeId);
    this.members.set(seen.nodeId, seen);
    if (before?.incarnation !== seen.incarnation || before.state !== seen.state) this.turnover.push(seen);
    this.#waiting.look();
  }
}
