import { describe, expect, test } from 'vitest';
import { startNatsCluster } from '../support/nats-cluster.ts';
import { testServers } from '../support/newest-server.ts';
import { Load } from './support/load.ts';
import { machineMs } from './support/machine-clock.ts';
import { World } from './support/world.ts';

const nodes = ['a', 'b', 'c'];

describe.each(await testServers())('$name', ({ binary }) => {
  test('the leader of a replicated bucket is killed: no shard moves', { timeout: 60_000 }, async () => {
    await using natsServers = await startNatsCluster({ binary });
    await using world = await World.start({ servers: natsServers.urls, nodes, nats: { replicas: 3 } });
    const { observer } = world;
    const keys = world.keysOf(nodes, 8);
    const load = new Load({ sender: 'c', client: await world.client(), keys, everyMs: 20 });
    await load.start();
    const before = observer.snapshot();
    const membersBefore = observer.turnover.length;

    const bucket = `KV_perkey_${world.cluster}_members`;
    const leader = await natsServers.leaderOf(bucket);
    const killedAt = machineMs();
    await leader.kill();
    const next = await natsServers.leaderOf(bucket);
    const electedMs = machineMs() - killedAt;
    const gapMs = await load.recovered(keys, machineMs());
    // Long enough for an eviction, had there been a reason for one.
    const calm = machineMs();
    await load.until('three more seconds', () => machineMs() - calm > 3_000);
    await load.stop();

    console.log({ electedMs, gapMs: electedMs + gapMs, longestMs: longestGap(load), ...load.tally() });
    expect(next.name).not.toBe(leader.name);
    expect(longestGap(load)).toBeLessThan(12_000);
    expect(await observer.readSnapshot()).toBe(before);
    expect(observer.turnover.slice(membersBefore)).toEqual([]);
    expect(world.nodes.map(({ incarnations }) => incarnations.length)).toEqual([1, 1, 1]);
    // Calls that a later one overtook when the connections came back are refused as not executed; whether that is true is checked below.
    for (const { told } of load.outcomes) if ('code' in told) expect(['no', 'unknown']).toContain(told.executed);
    expect(world.violations(load)).toEqual([]);
  });
});

/** The longest time for which some key had no success. */
function longestGap(load: Load): number {
  let longest = 0;
  for (const calls of Map.groupBy(load.outcomes, ({ key }) => key).values()) {
    const successes = calls.filter(({ told }) => 'ok' in told).map(({ t1 }) => t1);
    for (const [i, at] of successes.toSorted((x, y) => x - y).entries()) {
      const before = successes[i - 1];
      if (before !== undefined) longest = Math.max(longest, at - before);
    }
  }
  return longest;
}
