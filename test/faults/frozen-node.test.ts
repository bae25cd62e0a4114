import { describe, expect, test } from 'vitest';
import { testServers } from '../support/newest-server.ts';
import { Load } from './support/load.ts';
import { machineMs } from './support/machine-clock.ts';
import { World } from './support/world.ts';

describe.each(await testServers())('$name', ({ binary }) => {
  test('an owner that is stopped beyond its lease and continued answers nothing stale and executes nothing that waited for it', async () => {
    await using world = await World.start({ binary, nodes: ['a', 'b', 'c'] });
    const { observer } = world;
    const a = world.node('a');
    const keys = world.keysOf(['a', 'b', 'c'], 8);
    const keysOfA = keys.slice(0, 8);
    const client = await world.client();
    const load = new Load({ sender: 'c', client, keys, everyMs: 20 });
    await load.start();
    // Callers inside the node ask it without any wire, so that nothing but its own lease keeps it from answering what it remembers.
    a.readers({ readers: keysOfA, everyMs: 1 });

    const first = a.incarnation;
    // One turn is in the middle when the process stops, and what follows it waits in the mailbox.
    const [held = ''] = keysOfA;
    const { rid, outcome } = load.add(held, 500);
    await a.until('the long turn runs', () => a.started.has(rid));
    await a.freeze();
    const frozenAt = machineMs();
    const gapMs = await load.recovered(keysOfA, frozenAt, first);
    const thawedAt = machineMs();
    a.thaw();
    await a.until('it joins again', () => a.incarnations.length === 2);
    const rejoinedAt = machineMs();
    await observer.settled(['a', 'b', 'c']);
    await load.recovered(keys, machineMs());
    await load.stop();

    console.log({ gapMs, rejoinMs: rejoinedAt - thawedAt, ...load.tally(), of: load.outcomes.length });
    expect(gapMs).toBeLessThan(5_000);
    expect(rejoinedAt - thawedAt).toBeLessThan(2_000);
    expect((await outcome).told).toMatchObject({ executed: 'unknown', code: 'node.lost' });
    const unanswered = load.tally(frozenAt, thawedAt, keysOfA);
    expect(unanswered['unknown node.lost']).toBeGreaterThan(8);
    const late = world.turns().filter((turn) => turn.by === first && turn.at > thawedAt);
    expect(late).toEqual([]);
    expect(world.violations(load)).toEqual([]);
  });
});
