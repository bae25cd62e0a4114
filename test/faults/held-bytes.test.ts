import { expect, test } from 'vitest';
import { Load } from './support/load.ts';
import { machineMs } from './support/machine-clock.ts';
import { World } from './support/world.ts';

const nodes = ['a', 'b', 'c'];
/** The client library's own tests of the connection would end it before the bytes are released. */
const patient = { pingIntervalMs: 60_000 };

async function worldUnderLoad(): Promise<{ world: World; load: Load; keys: readonly string[]; keysOfA: readonly string[] }> {
  const world = await World.start({ nodes, proxied: ['a'], nats: patient });
  const keys = world.keysOf(nodes, 8);
  const keysOfA = keys.slice(0, 8);
  const load = new Load({ sender: 'c', client: await world.client(), keys, everyMs: 20 });
  await load.start();
  world.node('a').readers({ readers: keysOfA, everyMs: 1 });
  return { world, load, keys, keysOfA };
}

test('requests that were held on their way to an owner and arrive after the take-over are not executed', async () => {
  const { world: started, load, keys, keysOfA } = await worldUnderLoad();
  await using world = started;
  const a = world.node('a');
  const proxy = world.proxy('a');
  const first = a.incarnation;
  proxy.hold('toClient');
  const heldAt = machineMs();
  await load.recovered(keysOfA, heldAt, first);
  await world.observer.settled(['b', 'c']);
  const heldBytes = proxy.held('toClient');
  const releasedAt = machineMs();
  proxy.release();
  await a.until('it joins again', () => a.incarnations.length === 2);
  await world.observer.settled(nodes);
  await load.recovered(keys, machineMs());
  await load.stop();

  console.log({ heldBytes, ...load.tally() });
  expect(load.tally(heldAt, releasedAt, keysOfA)['unknown node.lost']).toBeGreaterThan(100);
  expect(heldBytes).toBeGreaterThan(5_000);
  expect(world.turns().filter((turn) => turn.by === first && turn.at > heldAt + 2_500)).toEqual([]);
  expect(world.violations(load)).toEqual([]);
});

test('answers and renewals that were held on their way from an owner and arrive after the take-over have no effect', async () => {
  const { world: started, load, keys, keysOfA } = await worldUnderLoad();
  await using world = started;
  const { observer } = world;
  const a = world.node('a');
  const proxy = world.proxy('a');
  const first = a.incarnation;
  proxy.hold('toServer');
  const heldAt = machineMs();
  await load.recovered(keysOfA, heldAt, first);
  await observer.settled(['b', 'c']);
  const heldBytes = proxy.held('toServer');
  const grantsBefore = observer.grants.length;
  const turnoverBefore = observer.turnover.length;
  proxy.release();
  await a.until('it joins again', () => a.incarnations.length === 2);
  await observer.settled(nodes);
  await load.recovered(keys, machineMs());
  await load.stop();

  console.log({ heldBytes, ...load.tally() });
  const unanswered = world.turns().filter((turn) => turn.by === first && turn.at > heldAt);
  expect(unanswered.length).toBeGreaterThan(100);
  expect(heldBytes).toBeGreaterThan(5_000);
  expect(observer.grants.slice(grantsBefore).filter(({ incarnation }) => incarnation === first)).toEqual([]);
  const returns = observer.turnover.slice(turnoverBefore).filter(({ nodeId }) => nodeId === 'a');
  expect(new Set(returns.map(({ incarnation }) => incarnation))).toEqual(new Set([a.incarnation]));
  expect(world.violations(load)).toEqual([]);
});

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'what a node sent before its end (%s) and arrives after the take-over has no effect',
  async (signal) => {
    const { world: started, load, keys, keysOfA } = await worldUnderLoad();
    await using world = started;
    const { observer } = world;
    const a = world.node('a');
    const proxy = world.proxy('a');
    const first = a.incarnation;
    proxy.hold('toServer');
    const heldAt = machineMs();
    // Some answers are on their way; with SIGTERM, the release of its shards too.
    await proxy.whenHeld('toServer', 2_000);
    a.signal(signal);
    await load.recovered(keysOfA, heldAt, first);
    await observer.settled(['b', 'c']);
    const before = observer.snapshot();
    const heldBytes = proxy.held('toServer');
    proxy.release();
    await a.until('its process ends', () => !a.running);
    await load.recovered(keys, machineMs());
    await load.stop();

    console.log({ signal, heldBytes, ...load.tally() });
    expect(heldBytes).toBeGreaterThan(2_000);
    expect(await observer.readSnapshot()).toBe(before);
    expect(observer.members.get('a')).toMatchObject({ incarnation: first, state: 'gone' });
    expect(world.violations(load)).toEqual([]);
  },
);
