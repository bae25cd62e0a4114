import { expect, test } from 'vitest';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { controlLimits, decodeControlFrame, encodeControlFrame, frameKind } from './frame.ts';
import { Members } from './members.ts';
import { applyNews, changeNews, KnownNodes, type News, parseNews, wholeNews } from './news.ts';
import type { MemberRecord, ShardRecord } from './records.ts';
import { Routes } from './routes.ts';
import { ShardTable } from './shard-table.ts';

const ignore = (): void => {};

function world(shards = 4) {
  const members = new Members(new VirtualClock(), ignore);
  const table = new ShardTable(shards, ignore, ignore);
  let revision = 0;
  const member = (nodeId: string, change: Partial<MemberRecord> = {}): void => {
    const record = {
      nodeId,
      incarnation: `1-${nodeId}`,
      n: 1,
      inbox: '',
      weight: 1,
      types: { t: '1' },
      state: 'active',
      protocol: 1,
      ...change,
    };
    members.onRecord({ key: `member.${nodeId}`, value: JSON.stringify(record), revision: (revision += 1) });
  };
  const shard = (number: number, nodeId: string, epoch: number, change: Partial<ShardRecord> = {}): void => {
    const record = { shard: number, nodeId, incarnation: `1-${nodeId}`, epoch, state: 'owned', ...change };
    table.onRecord({ key: `shard.${number}`, value: JSON.stringify(record), revision: (revision += 1) });
  };
  return { members, table, member, shard };
}

function client() {
  const routed: number[] = [];
  const gone: string[] = [];
  const routes = new Routes({
    ...{ addressOf: (who) => who.incarnation, isLocal: () => false },
    onRoute: (number) => routed.push(number),
    onGone: (target) => gone.push(target.nodeId),
  });
  const nodes = new KnownNodes();
  /** As it comes from the wire. */
  const hear = (news: News): void => {
    const frame = encodeControlFrame(frameKind.topology, news, 1_048_576, controlLimits);
    const control = decodeControlFrame(frame, controlLimits);
    const parsed = 'problem' in control ? undefined : parseNews(control.value);
    if (!parsed) throw new Error('the news could not be read');
    applyNews(parsed, nodes, routes);
  };
  return { routes, nodes, routed, gone, hear };
}

test('whole news tells who owns what, who is gone and what is hosted', () => {
  const { members, table, member, shard } = world();
  member('a');
  member('b', { state: 'gone', types: { old: '1' } });
  shard(0, 'a', 5);
  shard(1, 'b', 6);
  shard(2, 'a', 7, { state: 'releasing', successor: { nodeId: 'b', incarnation: '1-b' } });
  shard(3, 'a', 8, { state: 'free' });
  const { routes, gone, hear } = client();
  hear(wholeNews(members, table));
  expect([0, 1, 2].map((number) => routes.get(number)?.target.nodeId)).toEqual(['a', 'b', 'a']);
  expect(routes.get(3)).toBeUndefined();
  expect(gone).toEqual(['b']);
  expect([routes.mayHost('t'), routes.mayHost('old')]).toEqual([true, false]);
});

test('news that comes late, twice and in any order leaves the same picture', () => {
  const { members, table, member, shard } = world();
  const all: News[] = [];
  member('a');
  member('b');
  shard(0, 'a', 5);
  all.push(wholeNews(members, table));
  shard(0, 'b', 6);
  all.push(changeNews(members, 4, [{ shard: 0, nodeId: 'b', incarnation: '1-b', epoch: 6 }], [{ nodeId: 'a', incarnation: '1-a' }]));
  member('a', { state: 'gone' });
  all.push(wholeNews(members, table));
  member('a', { incarnation: '2-a' });
  shard(0, 'a', 9, { incarnation: '2-a' });
  all.push(changeNews(members, 4, [{ shard: 0, nodeId: 'a', incarnation: '2-a', epoch: 9 }], [{ nodeId: 'b', incarnation: '1-b' }]));
  for (const order of [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [2, 0, 3, 1, 1, 0],
    [1, 3, 0, 2, 3],
  ]) {
    const { routes, nodes, hear } = client();
    for (const at of order) hear(all[at] as News);
    expect(routes.get(0)).toMatchObject({ epoch: 9, target: { incarnation: '2-a', gone: false } });
    expect(nodes.isGone({ nodeId: 'a', incarnation: '1-a' })).toBe(true);
    expect(nodes.isGone({ nodeId: 'a', incarnation: '2-a' })).toBe(false);
  }
});

test('the news of the largest cluster fits in one message', () => {
  const { members, table, member, shard } = world(16_384);
  const names = Array.from({ length: 100 }, (_, i) => `node-with-a-rather-long-name-${i}`);
  for (const name of names) member(name);
  for (let number = 0; number < 16_384; number += 1) shard(number, names[number % 100] as string, 1_735_689_600_000 + number);
  const { routes, hear } = client();
  hear(wholeNews(members, table));
  expect(routes.reachable()).toBe(16_384);
});

test('what a client knows of nodes is bounded, however many come and go', () => {
  const nodes = new KnownNodes();
  for (let i = 0; i < 20_000; i += 1) nodes.note(`n${i}`, '1-x', i < 19_990);
  expect(nodes.size).toBeLessThanOrEqual(4_096);
  expect(nodes.isGone({ nodeId: 'n19989', incarnation: '1-x' })).toBe(true);
  expect(nodes.isGone({ nodeId: 'n19995', incarnation: '1-x' })).toBe(false);
});

test('what is no news is passed over', () => {
  const news = { shards: 4, nodes: [['a', '1-a', false]], routes: [[0, 0, 5]], types: ['t'] };
  expect(parseNews(news)).toBe(news);
  const broken: Partial<Record<keyof News, unknown[]>> = {
    shards: [0, -1, 1.5, 16_385, '4', null],
    nodes: [null, {}, ['a'], [['a']], [['a', '1-a', 1]], [['', '1-a', true]], [['a b', '1-a', true]], [['a', '1>a', true]]],
    routes: [null, {}, [0], [[0, 0]], [[0, 0, -1]], [[0, 0, 1.5]], [[0, 0, '5']], [[-1, 0, 5]]],
    types: [null, {}, [1]],
  };
  for (const [name, values] of Object.entries(broken))
    for (const value of values) expect(parseNews({ ...news, [name]: value })).toBeUndefined();
  for (const value of [null, undefined, 1, 'text', []]) expect(parseNews(value)).toBeUndefined();
});

test('a route to a node that the news does not name is passed over', () => {
  const { routes, hear } = client();
  hear({
    shards: 4,
    nodes: [['a', '1-a', false]],
    routes: [
      [0, 7, 5],
      [1, 0, 5],
      [9, 0, 5],
    ],
    types: [],
  });
  expect([routes.get(0), routes.get(1)?.target.nodeId, routes.get(9)]).toEqual([undefined, 'a', undefined]);
});
