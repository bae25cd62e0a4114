import { expect, test } from 'vitest';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import type { Random } from '../base/random.ts';
import type { StreamName } from '../contract/commit-log.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeEnvironment } from '../testkit/contract-suites/store-world.ts';
import { FaultyStore } from '../testkit/faulty-store.ts';
import type { AppendFault } from '../testkit/faults/commit-faults.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import type { CommitAuthor, CommitDraft, StreamHead } from './commit.ts';
import { EventStore } from './event-store.ts';

const faults: readonly AppendFault[] = ['lost', 'stored_unknown', 'late', 'stored_conflict', 'conflict', 'unavailable', 'full'];
const streams: readonly StreamName[] = ['alice', 'bob'].map((key) => ({ type: 'Account', key }));

/** What a writer was told of one commit. */
interface Told {
  readonly id: string;
  readonly stream: StreamName;
  readonly verdict: 'stored' | 'not_stored' | 'unknown';
  /** Of its event, where it was stored. */
  readonly version: number;
}

/** Several writers that all believe they own the same streams, over a store that fails in every way. */
class Contest {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly told: Told[] = [];
  readonly store = new FaultyStore(memoryStore(), { clock: this.clock });

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  async open(nodeId: string, seed: number): Promise<EventStore> {
    const { clock } = this;
    const { events: log } = await this.store.open(storeEnvironment({ nodeId, clock }));
    return new EventStore({ log, clock, random: seededRandom(seed), metrics: noMetrics, shards: 4, options: { commitSettleMs: 300 } });
  }

  async write(nodeId: string, number: number, rounds: number): Promise<void> {
    const events = await this.open(nodeId, number);
    const author: CommitAuthor = { epoch: 1, owner: `${nodeId}/${number}` };
    const heads = new Map<StreamName, StreamHead>();
    for (let round = 0; round < rounds; round += 1) {
      const stream = streams[Math.floor(this.random.next() * streams.length)] as StreamName;
      const draft = { id: events.newCommitId(), at: 0, events: [{ name: 'E', schema: 1, data: `${nodeId} ${number} ${round}` }] };
      if (this.random.next() < 0.3) this.#trouble(nodeId);
      const head = heads.get(stream) ?? (await events.load(stream, () => {}));
      heads.delete(stream);
      const after = await this.#commit(events, stream, head, author, draft);
      if (after !== undefined) heads.set(stream, after);
      await new Promise<void>((resolve) => {
        this.clock.setTimer(this.random.next() * 20, resolve);
      });
    }
  }

  #trouble(nodeId: string): void {
    const node = this.store.of(nodeId);
    node.nextAppends(faults[Math.floor(this.random.next() * faults.length)] as AppendFault);
    if (this.random.next() < 0.3) node.releaseLate();
    if (this.random.next() < 0.2) {
      node.staleReads(Math.floor(this.random.next() * 50));
      this.clock.setTimer(this.random.next() * 200, () => node.heal());
    }
  }

  /** The head after it, where that is certain. */
  async #commit(
    events: EventStore,
    stream: StreamName,
    head: StreamHead,
    author: CommitAuthor,
    draft: CommitDraft,
  ): Promise<StreamHead | undefined> {
    const tell = (verdict: Told['verdict'], version = 0): void => void this.told.push({ id: draft.id, stream, verdict, version });
    const result = await events.append(stream, head, author, draft);
    if (result.kind === 'appended') {
      tell('stored', result.head.version);
      return result.head;
    }
    if (result.kind === 'refused') {
      tell('not_stored');
      return head;
    }
    const settlement = await events.settle(stream, head, author, draft.id);
    if (settlement.kind === 'unknown') {
      tell('unknown');
      return undefined;
    }
    if (settlement.kind === 'absent') tell('not_stored');
    else tell('stored', settlement.tail.find(({ id }) => id === draft.id)?.version);
    return settlement.head;
  }
}

test('whatever fails, what writers are told is what the streams hold, and each stream is one unbroken chain', async () => {
  const seen = { stored: 0, not_stored: 0, unknown: 0 };
  for (let seed = 1; seed <= 40; seed += 1) {
    const contest = new Contest(seed);
    let isDone = false;
    const writing = Promise.all([
      contest.write('n1', 1, 25),
      contest.write('n1', 2, 25),
      contest.write('n2', 3, 25),
      contest.write('n3', 4, 25),
    ]).finally(() => (isDone = true));
    await contest.clock.until(() => isDone, { limitMs: 600_000 });
    await writing;
    contest.store.healAll();
    for (const node of ['n1', 'n2', 'n3']) contest.store.of(node).releaseLate();
    await contest.clock.advance(1_000);
    const events = await contest.open('judge', 99);
    for (const stream of streams) {
      const stored = new Map<string, number>();
      let isRead = false;
      const judging = events
        .load(stream, ({ id, version, kind }) => {
          if (kind !== 'commit') return;
          expect(stored.has(id), `seed ${seed}: ${id} is there twice`).toBe(false);
          stored.set(id, version);
        })
        .then(() => events.verify(stream))
        .finally(() => (isRead = true));
      await contest.clock.until(() => isRead);
      const problems = (await judging).problems.filter(({ what }) => what !== 'the epoch 1 has two owners');
      expect(problems, `seed ${seed}`).toEqual([]);
      for (const { id, verdict, version, stream: of } of contest.told) {
        seen[verdict] += of === stream ? 1 : 0;
        if (of !== stream || verdict === 'unknown') continue;
        expect(stored.get(id), `seed ${seed}: ${id} was told to be ${verdict}`).toBe(verdict === 'stored' ? version : undefined);
      }
    }
  }
  expect(seen.stored).toBeGreaterThan(1_000);
  expect(seen.not_stored).toBeGreaterThan(200);
  expect(seen.unknown).toBeGreaterThan(10);
}, 60_000);
