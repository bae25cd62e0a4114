import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { machineMs } from '../harness/machine-clock.ts';
import type { Row, Stage } from '../harness/row.ts';

const nodes = ['a', 'b', 'c'] as const;
const shim = join(import.meta.dirname, '../harness/wall-shim.ts');

/** While a store, or the whole of a cluster, is away: refused before it ran, or unknown; never untyped. */
const mayEnd =
  /^(no (store\.(full|unavailable)|commit\.conflict|shard\.(no_owner|moved)|node\.overloaded|request\.expired|deadline\.exceeded)|unknown (node\.lost|node\.overloaded|link\.lost|deadline\.exceeded|request\.expired|commit\.unknown|turn\.abandoned))$/;

/** F13: nothing can be stored; what is in memory can be read for as long as leases hold. */
function diskFull(id: string, newestServer: boolean): Row {
  return {
    id,
    fault: 'the disk under JetStream is full for 6 s; then there is room again and the server is restarted',
    toReach:
      'changes end typed, reads go on while leases hold; no node ends; nothing acknowledged is lost; served again <= 3 s after the restart',
    perSecond: 500,
    timeoutMs: 8_000,
    okMin: 0.3,
    mayEnd,
    newestServer,
    // Told before the leases run out, without which no answer leaves.
    world: { durable: true, diskMb: 64, jetstream: { storeTimeoutMs: 500 }, options: { commitSettleMs: 500 } },
    async run(stage) {
      const { world, load } = stage;
      await load.pass(1_000);
      await world.fill();
      const filledAt = machineMs();
      await load.pass(6_000);
      const freedAt = machineMs();
      await world.free();
      await world.server.restart();
      await stage.gap(load.keys, machineMs(), 3_000);
      const during = load.within(filledAt + 200, freedAt).filter(({ t0 }) => t0 > filledAt + 200 && t0 < freedAt);
      const reads = during.filter(({ method, told: end }) => method === 'get' && 'ok' in end);
      const told = load
        .within(filledAt, freedAt)
        .filter(({ method, told: end }) => method === 'add' && 'code' in end && /^(store|commit)\./.test(end.code));
      stage.note('changes that were told of the store', told.length, 'calls');
      stage.note('reads answered meanwhile', reads.length, 'calls');
      stage.bit('changes were told of the store', told.length > 5);
      stage.check('no read was answered from memory', reads.length > 0);
      stage.check(
        'processes ended',
        world.processes.every(({ running }) => running),
        '',
      );
      stage.note('incarnations of a node', Math.max(...world.nodes.map((node) => node.incarnations.length)), '');
    },
  };
}

/** Ends every node at once, as with the machine below them. */
async function killAll({ world }: Stage): Promise<void> {
  await Promise.all(nodes.map((nodeId) => world.node(nodeId).kill()));
}

/** F14: the store's machine loses power, with all the nodes. */
const powerCut: Row = {
  id: 'F14 log',
  fault: 'loss of power of the store and of every node, with sync_interval: always',
  toReach: '0 acknowledged events lost',
  perSecond: 400,
  timeoutMs: 4_000,
  okMin: 0.3,
  mayEnd,
  newestServer: true,
  world: { durable: true, diskMb: 256, syncAlways: true },
  async run(stage) {
    const { world, load } = stage;
    await load.pass(2_500);
    await world.cutPower();
    const cutAt = machineMs();
    await killAll(stage);
    await world.server.restart();
    await Promise.all(nodes.map((nodeId) => world.start(nodeId)));
    await stage.gap(load.keys, machineMs(), 5_000);
    const acknowledged = load.outcomes.filter(({ method, t1, told }) => method === 'add' && t1 <= cutAt && 'ok' in told).length;
    stage.note('acknowledged before', acknowledged, 'events');
    stage.bit('events were acknowledged before', acknowledged > 300);
  },
};

/** F27: the buckets come from a backup that is older than the log, and the wall clock is behind the epochs that the log has seen. */
const oldBackup: Row = {
  id: 'F27 log',
  fault: 'both buckets are restored from an old backup: epochs in the log are an hour above what would be claimed',
  toReach:
    'owners claim anew above the epochs of the log; none is served below them; every key is served <= 10 s after the nodes are there again',
  perSecond: 500,
  timeoutMs: 4_000,
  okMin: 0.3,
  mayEnd,
  // No record says any more how high the epochs of a shard were, and the clock is behind: what a log does not hold nobody can know.
  epochsOfKeys: true,
  world: { durable: true, imports: [shim] },
  async run(stage) {
    const { world, load } = stage;
    const { server, storeDir } = world;
    await load.pass(500);
    await server.kill('SIGTERM');
    const folder = join(storeDir, 'jetstream/$G/streams');
    const buckets = (await readdir(folder)).filter((name) => /^KV_.*_(members|shards)$/.test(name));
    stage.bit('there are buckets to be kept', buckets.length === 2);
    const backup = join(storeDir, '../backup');
    for (const bucket of buckets) await cp(join(folder, bucket), join(backup, bucket), { recursive: true });
    await server.restart();
    await load.recovered(load.keys, machineMs());
    // Their clocks run ahead, so the shards that they take over from here on get epochs of the future.
    for (const nodeId of nodes) world.node(nodeId).signal('SIGUSR2');
    for (const nodeId of ['a', 'b']) {
      await world.stop(nodeId);
      await world.observer.settled(nodes.filter((other) => other > nodeId));
    }
    await load.pass(1_000);
    const ahead = world.turns().filter(({ epoch }) => epoch > Date.now() + 1_800_000);
    const highest = Math.max(...ahead.map(({ epoch }) => epoch));
    stage.bit('events with epochs of the future were stored', ahead.length > 20);
    await world.node('c').kill();
    await server.kill('SIGTERM');
    for (const bucket of buckets) {
      await rm(join(folder, bucket), { recursive: true });
      await cp(join(backup, bucket), join(folder, bucket), { recursive: true });
    }
    await server.restart();
    const restoredAt = machineMs();
    await Promise.all(nodes.map((nodeId) => world.start(nodeId)));
    await stage.gap(load.keys, machineMs(), 10_000);
    const keysAhead = new Set(ahead.map(({ key }) => key));
    const below = load
      .within(restoredAt, Infinity)
      .filter(({ key, told }) => keysAhead.has(key) && 'ok' in told && told.ok.epoch < highest - 60_000);
    stage.exactly('answers below the epochs of the log', below.length, 0);
  },
};

export const durableStoreRows: readonly Row[] = [diskFull('F13 log', false), diskFull('F13 log newest', true), powerCut, oldBackup];
