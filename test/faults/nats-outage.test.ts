import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { testServers } from '../support/newest-server.ts';
import { Load } from './support/load.ts';
import { machineMs } from './support/machine-clock.ts';
import { World } from './support/world.ts';

const nodes = ['a', 'b', 'c'];
const outageMs = 5_000;

describe.each(await testServers())('$name', ({ binary }) => {
  test.each(['killed', 'frozen'] as const)(
    'the server is %s and back after 5 s: no shard moves, all nodes serve within a second',
    async (how) => {
      await using world = await World.start({ binary, nodes });
      const { observer, server } = world;
      const keys = world.keysOf(nodes, 8);
      const load = new Load({ sender: 'c', client: await world.client(), keys, everyMs: 50 });
      await load.start();
      for (const [i, node] of world.nodes.entries()) node.readers({ readers: keys.slice(i * 8, i * 8 + 8), everyMs: 5 });
      const before = observer.snapshot();
      const membersBefore = observer.turnover.length;

      const downAt = machineMs();
      if (how === 'killed') await server.kill();
      else await server.freeze();
      await delay(outageMs);
      if (how === 'killed') await server.restart();
      else server.thaw();
      const backAt = machineMs();
      await load.recovered(keys, backAt);
      await load.stop();

      const byNode = nodes.map((_, i) => load.firstSuccesses(keys.slice(i * 8, i * 8 + 8), backAt).map((at) => Math.round(at - backAt)));
      console.log({ how, firstMs: byNode.map((times) => Math.min(...times)), lastMs: Math.max(...byNode.flat()), ...load.tally() });
      for (const times of byNode) expect(Math.min(...times)).toBeLessThan(1_000);
      expect(Math.max(...byNode.flat())).toBeLessThan(2_000);
      expect(await observer.readSnapshot()).toBe(before);
      expect(observer.turnover.slice(membersBefore)).toEqual([]);
      expect(world.nodes.map(({ incarnations }) => incarnations.length)).toEqual([1, 1, 1]);
      // The lease of every node had run out: they did not simply go on.
      for (const node of world.nodes) expect(node.logged('the lease could not be renewed in time')).not.toEqual([]);
      expect(load.tally()['ok']).toBeGreaterThan(500);
      // A request that was under way is in doubt; all that came later waited for the return.
      for (const { t0, told } of load.outcomes) {
        if ('ok' in told) continue;
        expect(told).toMatchObject({ executed: 'unknown', code: 'link.lost' });
        expect(t0).toBeLessThan(downAt + 4_000);
      }
      expect(world.violations(load)).toEqual([]);
    },
  );
});
