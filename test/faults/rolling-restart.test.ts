import { expect, test } from 'vitest';
import { Load } from './support/load.ts';
import { World } from './support/world.ts';

const nodes = ['a', 'b', 'c'];

test('every node is restarted under load: no call fails, none is in doubt, and every counter goes on from where it was', async () => {
  await using world = await World.start({ nodes });
  const { observer } = world;
  const keys = world.keysOf(nodes, 16);
  const load = new Load({ sender: 'c', client: await world.client(), keys, everyMs: 10 });
  await load.start();
  const stopMs: number[] = [];
  for (const nodeId of nodes) {
    const node = world.node(nodeId);
    const [held = ''] = keys.filter((key) => world.ownerOf(key) === nodeId);
    // A turn that takes its time is in the middle when the node is told to stop.
    const { rid } = load.add(held, 200);
    await node.until('the long turn runs', () => node.started.has(rid));
    const since = performance.now();
    expect(await node.stop()).toBe(0);
    stopMs.push(performance.now() - since);
    await (await world.spawn(nodeId)).ready();
    await observer.settled(nodes);
  }
  await load.stop();

  console.log({ stopMs, slowestMs: Math.max(...load.outcomes.map(({ t0, t1 }) => t1 - t0)), ...load.tally() });
  expect(load.tally()).toEqual({ ok: expect.any(Number) as number });
  for (const [key, calls] of Map.groupBy(load.outcomes, (outcome) => outcome.key)) {
    const seen = calls.flatMap(({ told }) => ('ok' in told ? [told.ok] : []));
    const added = calls.filter(({ method }) => method === 'add').length;
    expect([key, new Set(seen.map(({ born }) => born)).size, seen.at(-1)?.value]).toEqual([key, 1, added]);
  }
  expect(world.violations(load)).toEqual([]);
});
