import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { Load } from '../harness/load.ts';
import { machineMs } from '../harness/machine-clock.ts';
import type { Row } from '../harness/row.ts';

const shim = (name: string): string => join(import.meta.dirname, `../harness/${name}.ts`);

/** F22: two processes under one id, and a third that gives up. */
const sameId: Row = {
  id: 'F22',
  fault: 'a second process under the id of a live node, and a third that is told to exit',
  toReach: '0 moves, 0 errors; the second says why it waits and takes over once the first has died',
  async run(stage) {
    const { world, load } = stage;
    const { observer } = world;
    const keysOfA = stage.keysOf('a');
    await load.pass(500);
    const before = await observer.readSnapshot();
    const first = world.node('a');
    const spawnedAt = machineMs();
    const second = await world.spawn('a');
    await second.until('it says what it waits for', () => second.logged('another node holds this id').length > 0);
    const third = await world.spawn('a', { onDuplicateId: 'exit' });
    await third.until('it gives up', () => !third.running);
    stage.check('the third does not say why', third.failure?.code === 'node.duplicate_id', third.failure);
    await load.pass(3_000);
    stage.bit('the second waited longer than any lease', second.incarnations.length === 0 && second.running);
    stage.check('shard records have changed', (await observer.readSnapshot()) === before);
    stage.untouched('all keys', 0, machineMs(), load.keys);
    const killing = first.kill();
    const killedAt = machineMs();
    await killing;
    await stage.gap(keysOfA, killedAt, 5_000, first.incarnation);
    await second.ready();
    await observer.settled(['a', 'b', 'c']);
    stage.exactly('incarnations of the second', second.incarnations.length, 1);
    const lines = 1 + Math.floor((machineMs() - spawnedAt) / 10_000);
    stage.below('lines that say why', second.logged('another node holds this id').length, lines);
  },
};

/** F1, the same id again: a node that crashed waits for its own former lease. */
const sameIdAgain: Row = {
  id: 'F22 again',
  fault: 'a node is killed and started again at once under its id, without a supervisor',
  toReach: 'it serves as a new incarnation <= 5 s after; never while the old lease may hold',
  async run(stage) {
    const { world, load } = stage;
    const keysOfA = stage.keysOf('a');
    const first = world.node('a');
    await load.pass(500);
    const killing = first.kill();
    const killedAt = machineMs();
    await killing;
    const second = await world.start('a');
    const joinedMs = machineMs() - killedAt;
    stage.atMost('joined after', joinedMs, 5_000);
    stage.bit('it waited for the former lease', joinedMs > 1_500);
    await stage.gap(keysOfA, killedAt, 5_000, first.incarnation);
    await world.observer.settled(['a', 'b', 'c']);
    stage.check('its incarnation is not a later one', second.incarnation > first.incarnation);
  },
};

/** F11: the wall clock of a node jumps. */
const wallJump: Row = {
  id: 'F11',
  keepsState: true,
  fault: "a node's wall clock jumps an hour forward, two hours back, and forward again",
  toReach: 'evictions 0; epochs only rise; gap <= 1 s',
  world: { imports: [shim('wall-shim')] },
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    const { observer } = world;
    await load.pass(500);
    const before = observer.turnover.length;
    const moves = observer.grants.length;
    for (let i = 0; i < 3; i += 1) {
      world.node('a').signal('SIGUSR2');
      await stage.gap(stage.keysOf('a'), machineMs(), 1_000);
      await load.pass(1_500);
    }
    stage.exactly('evictions', observer.turnover.length - before, 0);
    stage.exactly('records written', observer.grants.length - moves, 0);
    // A node that comes with the shifted clock claims with epochs of the future; the next owner goes above them.
    world.node('b').signal('SIGUSR2');
    await world.stop('a');
    await world.start('a');
    await observer.settled(['a', 'b', 'c']);
    await world.stop('b');
    await observer.settled(['a', 'c']);
    const perShard = Map.groupBy(observer.grants, ({ shard }) => shard);
    const back = [...perShard.values()].filter((same) => same.some(({ epoch }, i) => epoch < (same[i - 1]?.epoch ?? 0)));
    stage.exactly('shards whose epoch fell', back.length, 0);
    const ahead = observer.grants.some(({ epoch }) => epoch > Date.now() + 1_800_000);
    stage.bit('epochs of the shifted clock were claimed', ahead);
  },
};

/** F12: the machine of a node is suspended: its monotonic clock stands still meanwhile. */
const suspended: Row = {
  id: 'F12',
  fault: 'a node is suspended for 4 s together with its monotonic clock',
  toReach: 'no stale answer by the old owner; it joins again',
  world: { imports: [shim('suspend-shim')] },
  async run(stage) {
    const { world, load } = stage;
    const a = world.node('a');
    const keysOfA = stage.keysOf('a');
    stage.readersIn(a, 1);
    await load.pass(1_000);
    const first = a.incarnation;
    await world.freeze('a');
    const frozenAt = machineMs();
    await stage.gap(keysOfA, frozenAt, 3_500, first);
    await load.pass(500);
    world.thaw('a');
    const thawedAt = machineMs();
    await a.until('it joins again', () => a.incarnations.length === 2);
    await world.observer.settled(['a', 'b', 'c']);
    const stale = world.history(load).outcomes.filter(({ told, t0 }) => 'ok' in told && told.ok.by === first && t0 > thawedAt);
    stage.exactly('answers of the old owner to calls made after its wake', stale.length, 0);
    stage.bit(
      'others had taken over',
      world.turns().some(({ key, by, at }) => at < thawedAt && by !== first && keysOfA.includes(key)),
    );
    const late = world.turns().filter(({ by, at }) => by === first && at > thawedAt);
    stage.exactly('turns of the old incarnation after the wake', late.length, 0);
  },
};

const users = (withSecond: boolean): string =>
  `authorization { users: [ {user: cluster, password: c}${withSecond ? ', {user: second, password: s}' : ''} ] }\n`;

/** F29: the rights of a caller are taken away while it calls. */
const revoked: Row = {
  id: 'F29',
  keepsState: true,
  fault: "a caller's user is removed from the server in the middle of its calls, and comes back later",
  toReach: 'its calls end with typed errors; nobody else notices; it goes on when it may',
  world: { serverConfig: users(true), nats: { user: 'cluster', pass: 'c' } },
  mayEnd: /^(unknown (link\.lost|deadline\.exceeded)|no .+)$/,
  async run(stage) {
    const { world, load } = stage;
    const { pid } = world.server;
    const config = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').find((part) => part.endsWith('.conf')) ?? '';
    const text = await readFile(config, 'utf8');
    const client = await world.client({ nats: { user: 'second', pass: 's' } });
    const mine = new Load({ sender: 'd', clients: [client], keys: load.keys.slice(0, 50), perSecond: 200, timeoutMs: 1_000 });
    await mine.start();
    await load.pass(500);
    await writeFile(config, text.replace(users(true), users(false)));
    process.kill(pid, 'SIGHUP');
    const revokedAt = machineMs();
    await load.pass(2_500);
    const during = mine.tally(revokedAt + 300, machineMs());
    const backAt = machineMs();
    await writeFile(config, text);
    process.kill(pid, 'SIGHUP');
    await mine.recovered(mine.keys, backAt);
    stage.note('served again after', machineMs() - backAt, 'ms');
    await mine.stop();
    stage.bit('its calls failed', (during['ok'] ?? 0) === 0 && Object.keys(during).length > 0);
    const wrong = Object.keys(during).filter((name) => !/^(unknown (link\.lost|deadline\.exceeded)|no .+)$/.test(name));
    stage.check('its calls ended otherwise', wrong.length === 0, during);
    const mineOnly = mine.outcomes.length;
    stage.note('calls of the caller', mineOnly, 'calls');
    stage.untouched('all others', 0, machineMs(), load.keys);
    load.outcomes.push(...mine.outcomes);
  },
};

/** F30: addresses that are wrong or dead, and too few descriptors. */
const badStart: Row = {
  id: 'F30',
  keepsState: true,
  fault: 'a list of servers that is partly dead, a name that does not resolve, a server that refuses, 64 descriptors',
  toReach: 'starts where it can, else a clear error <= 10 s; <= 10 dials/s',
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    const dials = { count: 0 };
    const refusing = createServer((socket) => {
      dials.count += 1;
      socket.resetAndDestroy();
    }).listen(0, '127.0.0.1');
    await once(refusing, 'listening');
    try {
      const { port } = refusing.address() as { port: number };
      const dead = `nats://127.0.0.1:${port}`;
      const since = machineMs();
      const some = await world.spawn('d', { servers: ['nats://127.0.0.1:1', dead, world.server.url] });
      const nameless = await world.spawn('e', { servers: ['nats://no-such-host.invalid:4222'], connectTimeoutMs: 5_000 });
      await some.ready(10_000);
      stage.atMost('partly dead list: started after', machineMs() - since, 10_000);
      await nameless.until('it gives up', () => !nameless.running, 12_000);
      stage.atMost('no such name: gave up after', machineMs() - since, 10_000);
      stage.check('no such name: not said', /no-such-host\.invalid/.test(nameless.failure?.message ?? ''), nameless.failure);
      stage.check('no such name: no code', nameless.failure?.code === 'transport.connect_timeout', nameless.failure);
      dials.count = 0;
      const from = machineMs();
      const alone = await world.spawn('f', { servers: [dead], connectTimeoutMs: 4_000 });
      await alone.until('it gives up', () => !alone.running, 12_000);
      const perSecond = (dials.count * 1_000) / (machineMs() - from);
      stage.bit('it dialed again and again', dials.count > 2);
      stage.below('dials per second', perSecond, 10);
      const few = ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'];
      const narrow = await world.spawn('g', { prefix: few, connectTimeoutMs: 5_000 });
      await narrow.until('it starts or says why not', () => narrow.isReady || !narrow.running, 12_000);
      stage.check('64 descriptors: neither started nor a clear error', narrow.isReady || narrow.failure !== undefined, narrow.failure);
      await load.pass(500);
      for (const nodeId of ['d', 'g']) if (world.node(nodeId).running) await world.stop(nodeId);
      await world.observer.settled(['a', 'b', 'c']);
    } finally {
      refusing.close();
    }
  },
};

export const identityRows: readonly Row[] = [sameId, sameIdAgain, wallJump, suspended, revoked, badStart];
