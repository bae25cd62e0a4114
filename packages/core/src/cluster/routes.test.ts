import { expect, test } from 'vitest';
import { Routes, type Target } from './routes.ts';

function world() {
  const events: string[] = [];
  const routes = new Routes({
    addressOf: ({ nodeId, incarnation }) => `${nodeId}/${incarnation}`,
    isLocal: ({ incarnation }) => incarnation === '1-self',
    onRoute: (shard) => events.push(`route ${shard}`),
    onGone: (target: Target) => events.push(`gone ${target.incarnation}`),
  });
  routes.setShards(4);
  return { routes, events };
}

test('epochs only rise', () => {
  const { routes, events } = world();
  routes.learn({ shard: 1, nodeId: 'a', incarnation: '1-a', epoch: 5 });
  routes.learn({ shard: 1, nodeId: 'b', incarnation: '1-b', epoch: 5 });
  routes.learn({ shard: 1, nodeId: 'b', incarnation: '1-b', epoch: 4 });
  expect([routes.get(1)?.target.nodeId, events]).toEqual(['a', ['route 1']]);
  routes.learn({ shard: 1, nodeId: 'b', incarnation: '1-b', epoch: 6 });
  expect(routes.get(1)?.target.nodeId).toBe('b');
});

test('a lower epoch counts when the known owner is gone: the records may have been set back', () => {
  const { routes } = world();
  const learn = (who: string, epoch: number): string | undefined => {
    routes.learn({ shard: 1, nodeId: who, incarnation: `1-${who}`, epoch });
    return routes.get(1)?.target.nodeId;
  };
  learn('c', 3);
  expect([learn('a', 9), learn('b', 4)]).toEqual(['a', 'a']);
  routes.markGone({ nodeId: 'a', incarnation: '1-a' });
  // Neither what is known already, nor another one that is gone.
  routes.markGone({ nodeId: 'c', incarnation: '1-c' });
  expect([learn('a', 8), learn('c', 8), learn('b', 4)]).toEqual(['a', 'a', 'b']);
  expect(learn('d', 3)).toBe('b');
});

test('shards that are none are passed over', () => {
  const { routes, events } = world();
  for (const shard of [4, 4_000, -1, 0.5, Number.NaN]) routes.learn({ shard, nodeId: 'a', incarnation: '1-a', epoch: 5 });
  expect([events, routes.shards, routes.reachable()]).toEqual([[], 4, 0]);
});

test('the same incarnation is the same target, until it is gone and used no more', () => {
  const { routes, events } = world();
  const learn = (shard: number, epoch: number, who = 'a'): void => routes.learn({ shard, nodeId: who, incarnation: `1-${who}`, epoch });
  learn(0, 1);
  learn(1, 1);
  const target = routes.get(0)!.target;
  expect(routes.get(1)!.target).toBe(target);
  routes.sweepGone(({ nodeId }) => nodeId === 'a');
  routes.sweepGone(({ nodeId }) => nodeId === 'a');
  routes.markGone({ nodeId: 'a', incarnation: '1-a' });
  expect(events.filter((event) => event === 'gone 1-a')).toHaveLength(1);
  expect([routes.reachable(), target.gone]).toEqual([0, true]);
  learn(0, 2, 'b');
  learn(1, 2, 'b');
  routes.sweepGone(() => false);
  expect(routes.reachable()).toBe(2);
});

test('the node itself is never swept', () => {
  const { routes, events } = world();
  routes.learn({ shard: 0, nodeId: 'self', incarnation: '1-self', epoch: 1 });
  routes.sweepGone(() => true);
  expect([routes.get(0)?.target.local, events]).toEqual([true, ['route 0']]);
});

test('types are unknown until somebody says which there are', () => {
  const { routes } = world();
  expect(routes.mayHost('x')).toBe(true);
  routes.addTypes(['a']);
  routes.addTypes(['b']);
  expect(['a', 'b', 'x'].map((type) => routes.mayHost(type))).toEqual([true, true, false]);
  routes.setTypes(undefined);
  expect(routes.mayHost('x')).toBe(true);
});
