import { describe, expect, test } from 'vitest';
import { testServers } from '../support/newest-server.ts';
import { Load } from './support/load.ts';
import { machineMs } from './support/machine-clock.ts';
import { World } from './support/world.ts';

const nodes = ['a', 'b', 'c'];

describe.each(await testServers())('$name', ({ binary }) => {
  test.each([
    [true, 500],
    [false, 3_000],
  ])('a node is killed (supervised: %s): all its keys are answered within %d ms', async (supervised, limitMs) => {
    await using world = await World.start({ binary, nodes, supervised });
    const { observer } = world;
    const client = await world.client();
    const keys = world.keysOf(nodes, 16);
    const load = new Load({ sender: 'c', client, keys, everyMs: 20 });
    await load.start();
    const a = world.node('a');
    const firstSuccessMs: number[] = [];
    for (let round = 0; round < (supervised ? 3 : 1); round += 1) {
      const lost = keys.filter((key) => world.ownerOf(key) === 'a');
      const others = keys.filter((key) => !lost.includes(key));
      const { incarnation, pid } = a;
      expect(lost).toHaveLength(16);
      const { rid, outcome } = load.add(lost[0]!, 5_000);
      await a.until('the long turn runs', () => a.started.has(rid));
      const killedAt = machineMs();
      process.kill(pid, 'SIGKILL');
      firstSuccessMs.push(await load.recovered(lost, killedAt, incarnation));
      const recoveredAt = machineMs();
      expect((await outcome).told).toMatchObject({ executed: 'unknown', code: 'node.lost' });
      expect(load.tally(killedAt, recoveredAt, others)).toEqual({ ok: expect.any(Number) as number });
      // What was under way when the process died is unknown, all else succeeded.
      for (const { t0, told } of load.outcomes) {
        if (!('code' in told) || t0 > recoveredAt) continue;
        expect(told).toMatchObject({ executed: 'unknown', code: 'node.lost' });
      }
      if (supervised) {
        await a.until('its supervisor starts it again', () => a.incarnations.length === round + 2);
        await observer.settled(nodes);
        await load.recovered(keys, machineMs());
      }
      expect(load.outcomes.filter(({ t0, told }) => t0 > killedAt + 500 && 'code' in told)).toEqual([]);
    }
    await load.stop();
    console.log({ supervised, firstSuccessMs, ...load.tally() });
    expect(firstSuccessMs.toSorted((x, y) => x - y)[Math.floor(firstSuccessMs.length / 2)]).toBeLessThan(limitMs);
    expect(world.violations(load)).toEqual([]);
  });
});
