import { expect, test } from 'vitest';
import { seededRandom } from '../base/random.ts';
import { type RouteChange, Routes, type Target } from './routes.ts';

function routing(shards = 4) {
  const routed: number[] = [];
  const gone: Target[] = [];
  const routes = new Routes({
    addressOf: (who) => `to/${who.incarnation}`,
    isLocal: (who) => who.nodeId === 'self',
    onRoute: (shard) => routed.push(shard),
    onGone: (target) => gone.push(target),
  });
  if (shards > 0) routes.setShards(shards);
  const learn = (shard: number, nodeId: string, epoch: number): void => routes.learn({ shard, nodeId, incarnation: `1-${nodeId}`, epoch });
  return { routes, routed, gone, learn };
}

test('the latest epoch stands, in whatever order and however often news comes', () => {
  const random = seededRandom(3);
  const changes: RouteChange[] = Array.from({ length: 40 }, (_, i) => ({
    shard: i % 4,
    nodeId: `n${i % 7}`,
    incarnation: `1-n${i % 7}`,
    epoch: i,
  }));
  for (let round = 0; round < 200; round += 1) {
    const { routes } = routing();
    const order = [...changes, ...changes].map((change) => ({ change, place: random.next() })).sort((a, b) => a.place - b.place);
    for (const { change } of order) routes.learn(change);
    for (let shard = 0; shard < 4; shard += 1) {
      expect(routes.get(shard)).toMatchObject({ epoch: 36 + shard, target: { nodeId: `n${(36 + shard) % 7}` } });
    }
  }
});

test('nothing is learnt for shards that do not exist, or before their number is known', () => {
  const { routes, routed, learn } = routing(0);
  learn(0, 'a', 1);
  expect(routes.get(0)).toBeUndefined();
  routes.setShards(2);
  routes.setShards(9);
  learn(5, 'a', 1);
  expect([routes.shards, routed]).toEqual([2, []]);
  learn(1, 'a', 1);
  expect(routed).toEqual([1]);
});

test('an incarnation is one target, told gone once, and never the own one', () => {
  const { routes, gone, learn } = routing();
  learn(0, 'a', 1);
  learn(1, 'a', 1);
  learn(2, 'self', 1);
  expect(routes.get(0)?.target).toBe(routes.get(1)?.target);
  expect(routes.get(2)?.target.local).toBe(true);
  for (let i = 0; i < 3; i += 1) routes.sweepGone(() => true);
  expect(gone.map(({ nodeId }) => nodeId)).toEqual(['a']);
  expect(routes.reachable()).toBe(1);
});

test('news of a route to one that is gone already is found out at the next sweep', () => {
  const { routes, gone, learn } = routing();
  learn(0, 'a', 1);
  routes.sweepGone(() => true);
  learn(0, 'b', 2);
  routes.sweepGone(() => true);
  learn(1, 'a', 3);
  routes.sweepGone(({ nodeId }) => nodeId === 'a');
  expect(gone.map(({ nodeId }) => nodeId)).toEqual(['a', 'b', 'a']);
  expect(routes.get(1)?.target.gone).toBe(true);
});

test('targets that are gone and own nothing are forgotten', () => {
  const { routes, learn } = routing();
  let asked = 0;
  for (let i = 1; i <= 1_000; i += 1) {
    learn(0, `n${i}`, i);
    routes.sweepGone(({ nodeId }) => {
      asked += 1;
      return nodeId !== `n${i}`;
    });
  }
  expect(asked).toBeLessThan(4_000);
});

test('a type is refused only where it is known that nobody hosts it', () => {
  const { routes } = routing();
  expect(routes.mayHost('t')).toBe(true);
  routes.setTypes(new Set(['other']));
  expect(routes.mayHost('t')).toBe(false);
  routes.setTypes(undefined);
  expect(routes.mayHost('t')).toBe(true);
});
