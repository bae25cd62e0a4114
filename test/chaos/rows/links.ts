import { Odd } from '../harness/ledger.ts';
import { Load } from '../harness/load.ts';
import { machineMs } from '../harness/machine-clock.ts';
import type { Way } from '../harness/reach.ts';
import type { Row, Stage } from '../harness/row.ts';

const nodes = ['a', 'b', 'c'] as const;

/** F6 and F7: a node in a black hole, on one or both ways. */
function blackHole(id: string, way: Way): Row {
  const words = { both: 'both ways', toNode: 'what it should hear', toServer: 'what it says' }[way];
  return {
    id,
    fault: `a node is cut off from NATS for 10 s (${words})`,
    toReach: 'gap <= 3.5 s; one claim for each shard; it joins again',
    world: { apart: ['a'] },
    async run(stage) {
      const { world, load } = stage;
      const { observer } = world;
      const { node: a, keys: keysOfA, others, first } = await stage.victim('a');
      const grantsBefore = observer.grants.length;
      await world.cut('a', way);
      const cutAt = machineMs();
      const backAt = await stage.gap(keysOfA, cutAt, 3_500, first);
      stage.untouched('keys of other nodes', cutAt, backAt, others);
      await observer.settled(['b', 'c']);
      await load.pass(Math.max(500, (stage.intensity.short ? 4_000 : 10_000) - (machineMs() - cutAt)));
      const claims = Map.groupBy(
        observer.grants.slice(grantsBefore).filter(({ state }) => state === 'owned'),
        ({ shard }) => shard,
      );
      stage.bit('shards were claimed by others', claims.size > 0);
      if (world.network === 'namespaces') stage.bit('packets were dropped', (await world.reach('a').dropped()) > 0);
      stage.exactly('claims of one shard', Math.max(...[...claims.values()].map((same) => same.length)), 1);
      await world.heal('a');
      const healedAt = machineMs();
      await stage.backAgain(a);
      stage.note('joined and settled after', machineMs() - healedAt, 'ms');
    },
  };
}

/** F7, for good: the node comes back with one way only, again and again, and must not disturb the others. */
const oneWayForGood: Row = {
  id: 'F7 for good',
  fault: 'a node hears nothing, for good, while its connections are made anew',
  toReach: 'gap <= 3.5 s; <= 1 claim for each shard; the others serve as if it were not there',
  world: { apart: ['a'], by: 'proxy' },
  async run(stage) {
    const { world, load } = stage;
    const { observer } = world;
    const { node: a, keys: keysOfA, first } = await stage.victim('a');
    const grantsBefore = observer.grants.length;
    world.hold('a', 'toNode');
    const cutAt = machineMs();
    await stage.gap(keysOfA, cutAt, 3_500, first);
    await observer.settled(['b', 'c']);
    const calm = machineMs();
    await load.pass(stage.intensity.short ? 3_000 : 10_000);
    stage.untouched('the others', calm, machineMs(), load.keys);
    const claims = observer.grants.slice(grantsBefore).filter(({ state }) => state === 'owned');
    const most = Math.max(...[...Map.groupBy(claims, ({ shard }) => shard).values()].map((same) => same.length));
    stage.bit('shards were claimed by others', claims.length > 0);
    stage.exactly('claims of one shard', most, 1);
    world.proxy('a').reset();
    world.release('a');
    await stage.backAgain(a);
  },
};

/** F6 with a reset: the node and its callers know at once, and nothing of it is late. */
const reset: Row = {
  id: 'F6 reset',
  fault: "a node's connections are reset in the middle of a turn, and refused until others have taken over",
  toReach: 'gap <= 3.5 s; only what it had is unknown; it joins again',
  world: { apart: ['a'], by: 'proxy' },
  async run(stage) {
    const { world, load } = stage;
    const { node: a, keys: keysOfA, others, first } = await stage.victim('a');
    const { outcome } = await stage.longTurn('a', 400);
    world.proxy('a').reset(true);
    const cutAt = machineMs();
    await stage.gap(keysOfA, cutAt, 3_500, first);
    await world.heal('a');
    await stage.backAgain(a);
    const { told } = await outcome;
    stage.bit('the long turn was lost', 'code' in told && told.code === 'node.lost');
    const late = load.within(cutAt, Infinity, keysOfA).filter(({ t0, told: end }) => t0 > cutAt + 500 && 'code' in end);
    stage.exactly('calls after the cut that failed', late.length, 0);
    stage.untouched('keys of other nodes', cutAt, machineMs(), others);
  },
};

/** A cut that heals within the lease moves nothing; what was on the way is lost. */
const shortCut: Row = {
  id: 'F6 short',
  keepsState: true,
  fault: "a node's connections are reset and come back at once, twice",
  toReach: 'gap <= 1 s; nothing moves; what was lost on the way is told well before its deadline',
  world: { apart: ['a'], by: 'proxy' },
  async run(stage) {
    const { world, load } = stage;
    const { observer } = world;
    const keysOfA = stage.keysOf('a');
    await load.pass(1_000);
    const before = await observer.readSnapshot();
    const links = world.proxy('a').proxies.reduce((sum, proxy) => sum + proxy.connections, 0);
    const cuts: number[] = [];
    for (let i = 0; i < 2; i += 1) {
      world.proxy('a').reset();
      const cutAt = machineMs();
      cuts.push(cutAt);
      await stage.gap(keysOfA, cutAt, 1_000);
      await load.pass(500);
    }
    stage.bit('connections were there to be cut', links >= 2);
    await load.pass(1_000);
    stage.check('shard records have changed', (await observer.readSnapshot()) === before);
    stage.exactly('incarnations', world.node('a').incarnations.length, 1);
    await load.stop();
    const lost = load.within(cuts[0]!, Infinity).filter(({ told }) => 'code' in told);
    stage.note('lost on the way', lost.length, 'calls');
    stage.atMost('told after', Math.max(0, ...lost.map(({ t0, t1 }) => t1 - t0)), 1_000);
  },
};

/** Answers are lost again and again, and every change is repeated under its idempotency key. */
const repeats: Row = {
  id: 'F6 repeat',
  fault: 'answers of a node are lost with its connections, ten times; changes carry an idempotency key',
  toReach: 'every change is answered, and executed once',
  world: { apart: ['a'], by: 'proxy' },
  keepsState: true,
  idempotent: true,
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    await load.pass(500);
    let lost = 0;
    for (let i = 0; i < 10; i += 1) {
      world.hold('a', 'toServer');
      await load.pass(60);
      lost += world.proxy('a').proxies[0]!.held('toServer');
      world.proxy('a').reset();
      world.release('a');
      await load.pass(600);
    }
    stage.note('bytes of answers lost', lost, 'bytes');
    stage.bit('answers were lost', lost > 1_000);
    await load.recovered(load.keys, machineMs());
    stage.exactly('incarnations', world.node('a').incarnations.length, 1);
  },
};

/** The caller's own connection is cut. */
const caller: Row = {
  id: 'F6 caller',
  keepsState: true,
  fault: "a caller's connection is reset in the middle of a turn",
  toReach: 'told as unknown <= 500 ms; what comes later waits for the return',
  async run(stage) {
    const { world, load } = stage;
    const reach = await world.proxyForCaller();
    const client = await world.client({ through: reach });
    const mine = new Load({ sender: 'd', clients: [client], keys: load.keys.slice(0, 50), perSecond: 100 });
    await mine.start();
    const [key = ''] = stage.keysOf('a', 1);
    const { rid, outcome } = mine.add(key, 1_500);
    await world.node('a').until('the long turn runs', () => world.node('a').started.has(rid));
    reach.reset(true);
    const cutAt = machineMs();
    const { told, t1 } = await outcome;
    stage.bit('the long turn is unknown', 'code' in told && told.executed === 'unknown' && told.code === 'link.lost');
    stage.atMost('told after', t1 - cutAt, 500);
    const during = mine.keys.map((one) => mine.add(one).outcome);
    await load.pass(200);
    await reach.heal();
    const ends = await Promise.all(during);
    stage.exactly('calls during the cut that failed', ends.filter(({ told: end }) => 'code' in end).length, 0);
    await mine.stop();
    load.outcomes.push(...mine.outcomes);
  },
};

/** The client library's own tests of the connection would end it before the bytes are released. */
const patient = { pingIntervalMs: 60_000 };

/** F8: bytes that were held and arrive after the take-over. */
function heldBytes(way: 'toNode' | 'toServer'): Row {
  return {
    id: `F8 ${way}`,
    fault:
      way === 'toNode' ? 'requests to an owner are held and released after the take-over' : 'answers and renewals of an owner, the same',
    toReach: 'nothing of it has an effect',
    world: { apart: ['a'], by: 'proxy', nats: patient },
    async run(stage) {
      const { world } = stage;
      const { observer } = world;
      const { node: a, keys: keysOfA, first } = await stage.victim('a');
      world.hold('a', way);
      const heldAt = machineMs();
      await stage.gap(keysOfA, heldAt, 3_500, first);
      await observer.settled(['b', 'c']);
      const held = world.proxy('a').proxies[0]!.held(way === 'toNode' ? 'toClient' : way);
      stage.note('bytes held', held, 'bytes');
      stage.bit('bytes were held', held > 5_000);
      const [grantsBefore, turnoverBefore] = [observer.grants.length, observer.turnover.length];
      world.release('a');
      await stage.backAgain(a);
      const turns = world.turns().filter(({ by, at }) => by === first && at > heldAt);
      if (way === 'toServer') stage.bit('turns ran whose answers were held', turns.length > 50);
      stage.exactly('turns of the old owner past its lease', turns.filter(({ at }) => at > heldAt + 2_500).length, 0);
      const grants = observer.grants.slice(grantsBefore).filter(({ incarnation }) => incarnation === first);
      stage.exactly('claims by the old incarnation', grants.length, 0);
      const returned = observer.turnover.slice(turnoverBefore).filter(({ nodeId, incarnation }) => nodeId === 'a' && incarnation === first);
      stage.exactly('the old incarnation came back', returned.length, 0);
    },
  };
}

/** F8: what a node said before its end arrives after others have taken over. */
function lastBytes(signal: 'SIGKILL' | 'SIGTERM'): Row {
  return {
    id: `F8 ${signal}`,
    fault: `what a node sent before its end (${signal}) is held and released after the take-over`,
    toReach: 'nothing of it has an effect; the node stays gone',
    world: { apart: ['a'], by: 'proxy', nats: patient },
    async run(stage) {
      const { world, load } = stage;
      const { observer } = world;
      const { node: a, keys: keysOfA, first } = await stage.victim('a');
      world.hold('a', 'toServer');
      const heldAt = machineMs();
      const [proxy] = world.proxy('a').proxies;
      await proxy!.whenHeld('toServer', 2_000);
      a.signal(signal);
      await stage.gap(keysOfA, heldAt, 3_500, first);
      await observer.settled(['b', 'c']);
      const before = observer.snapshot();
      stage.bit('bytes were held', proxy!.held('toServer') > 2_000);
      world.release('a');
      await a.until('its process ends', () => !a.running);
      await load.recovered(load.keys, machineMs());
      stage.check('shard records have changed', (await observer.readSnapshot()) === before);
      stage.check('it is not gone', observer.members.get('a')?.state === 'gone' && observer.members.get('a')?.incarnation === first);
    },
  };
}

/** F9: slow links move nothing. */
function slowLink(how: 'narrow' | 'late'): Row {
  const narrow = how === 'narrow';
  return {
    id: `F9 ${how}`,
    keepsState: true,
    fault: narrow ? "a node's link is narrowed to 2 Mbit/s and loses 2 %" : "a node's link is 200 ms slower in each direction",
    toReach: `evictions 0; ${narrow ? 'every call is answered' : 'p99 <= baseline + 4 x 400 ms'}`,
    world: { apart: ['a'], by: narrow ? 'either' : 'proxy' },
    mayEnd: /^never$/,
    async run(stage) {
      const { world, load } = stage;
      const { observer } = world;
      await load.pass(1_500);
      const before = await observer.readSnapshot();
      const usual = load.latency(machineMs() - 1_000, Infinity);
      const keysOfA = stage.keysOf('a');
      const usesNetwork = world.network === 'namespaces';
      if (!narrow) await world.slow('a', { delayMs: 200 });
      else if (usesNetwork) await world.slow('a', { kbit: 2_000, lossPercent: 2 });
      else await world.slow('a', { delayMs: 20 });
      const since = machineMs();
      await load.pass(stage.intensity.short ? 4_000 : 10_000);
      const during = load.latency(since, machineMs(), keysOfA);
      stage.note('p99 before', usual.p99Ms, 'ms');
      if (narrow) stage.note('p99 meanwhile', during.p99Ms, 'ms');
      else stage.atMost('p99 meanwhile', during.p99Ms, usual.p99Ms + 1_600);
      const dropped = await world.reach('a').dropped();
      if (usesNetwork && narrow) {
        stage.note('packets lost', dropped, 'packets');
        stage.bit('packets were lost', dropped > 10);
      } else stage.bit('calls to the node were slower', during.p50Ms > usual.p50Ms + 15);
      await world.heal('a');
      await load.recovered(load.keys, machineMs());
      stage.check('shard records have changed', (await observer.readSnapshot()) === before);
      stage.exactly('incarnations', world.node('a').incarnations.length, 1);
    },
  };
}

/** F10: all nodes are cut off one after the other, and come back in another order. */
const swizzle: Row = {
  id: 'F10',
  fault: 'nodes are cut off one by one, and come back in another order',
  toReach: 'every key is served <= 10 s after the last',
  world: { apart: [...nodes] },
  // All nodes are away for most of the time: what was on its way to them then is lost.
  okMin: 0.4,
  mayEnd: /^unknown (node|link)\.lost$|^no shard\.no_owner$/,
  async run(stage) {
    const { world, load } = stage;
    await load.pass(1_000);
    for (const nodeId of nodes) stage.readersIn(world.node(nodeId), 5);
    const cutAt = machineMs();
    for (const nodeId of nodes) {
      await world.cut(nodeId);
      await load.pass(800);
    }
    await load.pass(2_500);
    for (const nodeId of ['b', 'a', 'c']) {
      await world.heal(nodeId);
      await load.pass(600);
    }
    const healedAt = machineMs();
    load.probe(load.keys);
    const { lastMs } = await load.recovered(load.keys, healedAt);
    stage.atMost('every key answers after', lastMs, 10_000);
    await world.observer.settled(nodes);
    for (const node of world.nodes)
      stage.bit(`the lease of ${node.nodeId} lapsed`, node.logged('the lease could not be renewed in time').length > 0);
    stage.note('cut for', healedAt - cutAt, 'ms');
  },
};

/** F25: a node stands still for less than its lease, long enough for the server to drop it as a slow consumer. */
export async function standStillUnread(stage: Stage): Promise<void> {
  const { world, load } = stage;
  await load.pass(1_000);
  const client = await world.client();
  const [key = ''] = stage.keysOf('a', 1);
  await world.freeze('a');
  const frozenAt = machineMs();
  // Enough to fill the buffers of the sockets between, so that the server has to wait for the reader.
  const heavy = Array.from({ length: 100 }, () => client.actor(Odd, key).swallow('x'.repeat(200_000), { timeoutMs: 4_000 }));
  const ends = Promise.allSettled(heavy);
  await load.pass(1_300);
  world.thaw('a');
  const thawedAt = machineMs();
  await ends;
  await load.recovered(load.keys, thawedAt);
  stage.note('stood still for', thawedAt - frozenAt, 'ms');
  stage.bit('NATS dropped a slow consumer', (await world.server.log()).includes('Slow Consumer'));
  await load.pass(3_000);
}

export const slowToRead: string = 'write_deadline: "500ms"\nmax_pending: 2097152';

const slowConsumer: Row = {
  id: 'F25',
  keepsState: true,
  fault: 'a node stands still until NATS drops its connection for not reading',
  toReach: 'what was lost on the way is told as unknown; no call is executed twice, none acknowledged is lost',
  world: { serverConfig: slowToRead },
  mayEnd: /^unknown (node|link)\.lost$/,
  run: standStillUnread,
};

export const linkRows: readonly Row[] = [
  ...[blackHole('F6', 'both'), reset, shortCut, repeats, caller, blackHole('F7 toNode', 'toNode'), blackHole('F7 toServer', 'toServer')],
  ...[oneWayForGood, heldBytes('toNode'), heldBytes('toServer'), lastBytes('SIGKILL'), lastBytes('SIGTERM')],
  ...[slowLink('narrow'), slowLink('late'), swizzle, slowConsumer],
];
