import { expect, test } from 'vitest';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { controlLimits, decodeControlFrame } from './frame.ts';
import { Members } from './members.ts';
import { applyNews, changeNews, KnownNodes, type News, newsFrames, parseNews, wholeNews } from './news.ts';
import { type MemberRecord, memberKey, type ShardRecord, shardKey } from './records.ts';
import { type Route, Routes } from './routes.ts';
import { ShardTable } from './shard-table.ts';

const ignore = (): void => {};

function cluster(shards: number, nodes: number) {
  const members = new Members(new VirtualClock(), ignore);
  const table = new ShardTable(shards, ignore, ignore);
  const member = (i: number, change: Partial<MemberRecord> = {}): void => {
    const record = {
      nodeId: `n${i}`,
      incarnation: `1-${i}`,
      n: 1,
      inbox: '',
      weight: 1,
      types: { [`t${i % 2}`]: '1' },
      state: 'active',
      protocol: 1,
    };
    members.onRecord({ key: memberKey(record.nodeId), value: JSON.stringify({ ...record, ...change }), revision: 10 + (change.n ?? 0) });
  };
  const own = (shard: number, i: number, change: Partial<ShardRecord> = {}): ShardRecord => {
    const record: ShardRecord = { nodeId: `n${i}`, incarnation: `1-${i}`, shard, epoch: 100 + shard, state: 'owned', ...change };
    table.onRecord({ key: shardKey(shard), value: JSON.stringify(record), revision: record.epoch });
    return record;
  };
  for (let i = 0; i < nodes; i += 1) member(i);
  for (let shard = 0; shard < shards; shard += 1) own(shard, shard % nodes);
  return { members, table, member, own };
}

function caller() {
  const nodes = new KnownNodes();
  const gone: string[] = [];
  const routes = new Routes({
    addressOf: (who) => who.incarnation,
    isLocal: () => false,
    onRoute: ignore,
    onGone: ({ nodeId }) => gone.push(nodeId),
  });
  const hear = (news: News): void => applyNews(news, nodes, routes);
  const owners = (): (string | undefined)[] =>
    Array.from({ length: routes.shards }, (_, shard) => routes.get(shard)).map((route: Route | undefined) => route?.target.nodeId);
  return { routes, gone, hear, owners };
}

function read(frame: Uint8Array): News {
  const control = decodeControlFrame(frame, controlLimits);
  const news = 'problem' in control ? undefined : parseNews(control.value);
  if (!news) throw new Error('the frame holds no news');
  return news;
}

test('everything that a node knows fits the largest cluster, and arrives whole', () => {
  const { members, table } = cluster(16_384, 200);
  const frames = newsFrames(wholeNews(members, table), 524_288);
  expect(frames).toHaveLength(1);
  const { hear, owners } = caller();
  hear(read(frames[0]!));
  expect(owners()).toEqual(Array.from({ length: 16_384 }, (_, shard) => `n${shard % 200}`));
});

test('news that do not fit into one frame go in several, and say the same in any order', () => {
  const { members, table, member } = cluster(1_000, 30);
  for (let i = 30; i < 90; i += 1) member(i, { state: 'gone' });
  member(3, { state: 'gone', n: 2 });
  const frames = newsFrames(wholeNews(members, table), 2_048);
  expect(frames.length).toBeGreaterThan(5);
  for (const frame of frames) expect(frame.length).toBeLessThanOrEqual(2_048);
  for (const order of [frames, frames.toReversed()]) {
    const { hear, owners, gone, routes } = caller();
    for (const frame of order) hear(read(frame));
    expect(owners()).toEqual(Array.from({ length: 1_000 }, (_, shard) => `n${shard % 30}`));
    expect(gone).toEqual(['n3']);
    expect([routes.mayHost('t0'), routes.mayHost('t1'), routes.mayHost('t2')]).toEqual([true, true, false]);
  }
});

test('news of a change name the former owners, so that calls to one that is gone are not waited for', () => {
  const { members, table, member, own } = cluster(4, 2);
  const { hear, gone, owners } = caller();
  hear(wholeNews(members, table));
  member(1, { state: 'gone', n: 2 });
  const before = table.get(1)!.record;
  const change = own(1, 0, { epoch: 500 });
  hear(changeNews(members, 4, [change], [before]));
  expect([owners(), gone]).toEqual([['n0', 'n0', 'n0', 'n1'], ['n1']]);
});

test('news that come late or twice change nothing', () => {
  const { members, table, own } = cluster(4, 2);
  const { hear, owners, routes } = caller();
  const old = wholeNews(members, table);
  own(2, 1, { epoch: 900 });
  hear(wholeNews(members, table));
  hear(old);
  hear(old);
  expect(owners()).toEqual(['n0', 'n1', 'n1', 'n1']);
  expect(routes.get(2)?.epoch).toBe(900);
});

test('of two incarnations of a node the earlier one is gone, in whatever order they are heard of', () => {
  const nodes = new KnownNodes();
  const [first, second] = [
    { nodeId: 'a', incarnation: '1-x' },
    { nodeId: 'a', incarnation: '2-y' },
  ];
  const note = (incarnation: string, gone: boolean, isUnheard = false): void => nodes.note('a', incarnation, gone, () => isUnheard);
  note('2-y', false);
  note('1-x', false);
  expect([nodes.isGone(first), nodes.isGone(second), nodes.isGone({ nodeId: 'b', incarnation: '1-b' })]).toEqual([true, false, false]);
  note('2-y', true);
  note('2-y', false);
  expect(nodes.isGone(second)).toBe(true);
  note('1-x', true);
  expect([nodes.isGone(first), nodes.isGone(second)]).toEqual([true, true]);
});

test('an earlier incarnation is there after all where the later one has ended, as after records were set back', () => {
  const nodes = new KnownNodes();
  const areGone = (): boolean[] => ['1-x', '2-y'].map((incarnation) => nodes.isGone({ nodeId: 'a', incarnation }));
  nodes.note('a', '2-y', false, () => false);
  nodes.note('a', '1-x', false, (known) => known === '2-y');
  expect(areGone()).toEqual([false, false]);
  nodes.note('a', '2-y', true, () => false);
  nodes.note('a', '1-x', false, () => false);
  expect(areGone()).toEqual([false, false]);
});

test('a single fact that fits no frame is an error, not an endless loop', () => {
  const { members, table } = cluster(1, 1);
  expect(() => newsFrames(wholeNews(members, table), 20)).toThrow('20');
});
