import { connect as natsConnect } from '@nats-io/transport-node';
import { machineMs } from '../harness/machine-clock.ts';
import type { Row, Stage } from '../harness/row.ts';

const nodes = ['a', 'b', 'c'] as const;

/** What must not happen when only NATS was away: no eviction, no claim, no new incarnation. */
async function nothingMoved(stage: Stage, before: string, membersBefore: number): Promise<void> {
  const { observer } = stage.world;
  const after = await observer.readSnapshot();
  stage.exactly('evictions', observer.turnover.length - membersBefore, 0);
  stage.check('shard records have changed', after === before);
  const incarnations = stage.world.nodes.map((node) => node.incarnations.length);
  stage.check('nodes have new incarnations', Math.max(...incarnations) === 1, incarnations);
}

/** F3 and F4: the only server is away for longer than any lease. */
function outage(id: string, how: 'killed' | 'stopped', outageMs: number, moreMs: number): Row {
  const verb = how === 'killed' ? 'kill -9, restarted' : 'SIGSTOP, continued';
  return {
    id,
    keepsState: true,
    fault: `nats-server ${verb} after ${outageMs / 1_000} s`,
    toReach: `served again <= ${moreMs} ms after the outage; evictions 0; no shard moves`,
    async run(stage) {
      const { world, load } = stage;
      const { observer, server } = world;
      for (const nodeId of nodes) stage.readersIn(world.node(nodeId), 5);
      await load.pass(1_000);
      const before = await observer.readSnapshot();
      const membersBefore = observer.turnover.length;
      if (how === 'killed') await server.kill();
      else await server.freeze();
      const downAt = machineMs();
      load.probe(load.keys);
      await load.pass(outageMs);
      const duringMs = machineMs() - downAt;
      const answered = load.within(downAt + 500, machineMs()).filter(({ t0, told }) => t0 > downAt + 500 && 'ok' in told);
      if (how === 'killed') await server.restart();
      else server.thaw();
      const backAt = machineMs();
      await stage.gap(load.keys, backAt, moreMs);
      stage.note('outage', duringMs, 'ms');
      stage.bit('calls had to wait for the server', answered.length === 0);
      for (const node of world.nodes)
        stage.bit(`the lease of ${node.nodeId} lapsed`, node.logged('the lease could not be renewed in time').length > 0);
      // Long enough for an eviction, had there been a reason for one.
      await load.pass(stage.intensity.short ? 1_000 : 3_000);
      await nothingMoved(stage, before, membersBefore);
    },
  };
}

/** F3, and one node comes back later than the others: they have seen nothing of it for longer than a lease, and must not evict it. */
const lateReturn: Row = {
  id: 'F3 late',
  fault: 'nats-server kill -9, restarted after 3 s; one node reaches it 1 s later than the others',
  toReach: 'evictions 0; no shard moves; served again <= 1 s after its return',
  keepsState: true,
  world: { apart: ['a'], by: 'proxy' },
  async run(stage) {
    const { world, load } = stage;
    const { observer, server } = world;
    await load.pass(1_000);
    const before = await observer.readSnapshot();
    const membersBefore = observer.turnover.length;
    await server.kill();
    world.proxy('a').reset(true);
    await load.pass(3_000);
    await server.restart();
    const backAt = machineMs();
    const others = load.keys.filter((key) => world.ownerOf(key) !== 'a');
    load.probe(others);
    await load.recovered(others, backAt);
    await load.pass(Math.max(0, 1_000 - (machineMs() - backAt)));
    const answered = load.within(backAt, machineMs(), stage.keysOf('a')).filter(({ told }) => 'ok' in told);
    stage.bit('the others served while it was away', answered.length === 0);
    await world.heal('a');
    await stage.gap(stage.keysOf('a'), machineMs(), 1_000);
    await load.pass(1_000);
    await nothingMoved(stage, before, membersBefore);
  },
};

/** Beside what is lost: the outage took all of a call's time, or so much of it that what is left is too short for the line of those that waited. */
const outlived = /^(unknown (node\.lost|link\.lost|deadline\.exceeded|node\.overloaded)|no .*)$/;

/** F5 and F5b: the leader of the members' bucket ends, one way or another. */
function leader(id: string, signal: 'SIGKILL' | 'SIGTERM', boundMs: number): Row {
  return {
    id,
    keepsState: true,
    fault: `${signal === 'SIGKILL' ? 'kill -9' : 'graceful end'} of the server of three that leads the members' bucket`,
    toReach: `gap <= ${boundMs / 1_000} s; evictions 0; no shard moves`,
    world: { replicas: 3 },
    // A call that a later one overtook, when connections came back, may be refused as not executed; the history decides whether that is true.
    mayEnd: /^(unknown (node|link)\.lost|no .*)$/,
    async run(stage) {
      const { world, load } = stage;
      const { observer, natsCluster } = world;
      await load.pass(1_000);
      const before = await observer.readSnapshot();
      const membersBefore = observer.turnover.length;
      const bucket = `KV_perkey_${world.cluster}_members`;
      const old = await natsCluster.leaderOf(bucket);
      const killing = old.kill(signal);
      const killedAt = machineMs();
      await killing;
      load.probe(load.keys);
      const electing = natsCluster.leaderOf(bucket).then((next) => ({ next, ms: machineMs() - killedAt }));
      await load.pass(1_000);
      const elected = await electing;
      await load.recovered(load.keys, machineMs());
      await load.pass(4_000);
      stage.bit('another server leads', elected.next.name !== old.name);
      stage.note('NATS has a new leader after', elected.ms, 'ms');
      stage.atMost('longest gap of a key', longestGap(stage, killedAt), boundMs);
      await nothingMoved(stage, before, membersBefore);
    },
  };
}

/** F13: the disk of the server is full. Nothing of an actor is stored there, but nobody can renew a lease. */
const diskFull: Row = {
  id: 'F13',
  fault: 'the disk of nats-server is full for 6 s; then there is room again and it is restarted',
  toReach: 'every node says <= 5 s later that it cannot renew; evictions 0; no shard moves; served again <= 1 s after the restart',
  keepsState: true,
  world: { diskMb: 48 },
  // The calls that wait at nodes that may not act are lost with the connections, when the server is restarted.
  okMin: 0.5,
  mayEnd: outlived,
  async run(stage) {
    const { world, load } = stage;
    const { observer, server } = world;
    await load.pass(1_000);
    const before = await observer.readSnapshot();
    const membersBefore = observer.turnover.length;
    await world.fill();
    const filledAt = machineMs();
    await load.pass(6_000);
    const said = world.nodes.map((node) => node.logged('the lease could not be renewed in time')[0]?.fields['at']);
    stage.bit(
      'every lease lapsed',
      said.every((at) => typeof at === 'number'),
    );
    stage.atMost('said after', Math.max(...said.map((at) => Number(at) - filledAt)), 5_000);
    await world.free();
    await server.restart();
    await stage.gap(load.keys, machineMs(), 1_000);
    await load.pass(1_000);
    await nothingMoved(stage, before, membersBefore);
  },
};

/** F27, without a backup: the records of who is alive and who owns what are gone. */
const bucketsLost: Row = {
  id: 'F27',
  fault: 'both buckets are deleted under load',
  toReach: 'epochs only rise; every key is served again <= 30 s after',
  // A node that reads less than it has written waits for 20 s, since a leader that was deposed answers so for as long: only then is it sure.
  okMin: 0.3,
  mayEnd: outlived,
  async run(stage) {
    const { world, load } = stage;
    await load.pass(1_000);
    const before = Math.max(...world.observer.grants.map(({ epoch }) => epoch));
    const raw = await natsConnect({ servers: world.server.url, reconnect: false });
    const deleted: boolean[] = [];
    for (const bucket of ['shards', 'members']) {
      const answer = await raw.request(`$JS.API.STREAM.DELETE.KV_perkey_${world.cluster}_${bucket}`, '');
      deleted.push(answer.json<{ success?: boolean }>().success === true);
    }
    await raw.close();
    const deletedAt = machineMs();
    stage.bit('the buckets were deleted', deleted.every(Boolean));
    await load.pass(4_000);
    await stage.gap(load.keys, machineMs(), 26_000);
    stage.note('served again after', machineMs() - deletedAt, 'ms');
    const epochs = world.turns().filter(({ at }) => at > deletedAt + 4_000);
    stage.check('nothing ran afterwards', epochs.length > 0);
    stage.note('highest epoch before', before, '');
  },
};

/** The longest time for which some key had calls and no success, counted from the begin of the call that waited. */
export function longestGap({ load }: Stage, since: number): number {
  let longest = 0;
  for (const calls of Map.groupBy(load.within(since, Infinity), ({ key }) => key).values()) {
    const good = calls.filter(({ told }) => 'ok' in told).toSorted((a, b) => a.t1 - b.t1);
    for (const call of calls) {
      const next = good.find(({ t1 }) => t1 >= call.t1);
      if (next !== undefined) longest = Math.max(longest, next.t1 - Math.max(since, call.t0));
    }
  }
  return longest;
}

/** Beside a graceful end of a server: its clients dial another one, and what was under way on its connections is unknown. */
export const serverRows: readonly Row[] = [
  outage('F3', 'killed', 3_000, 500),
  lateReturn,
  outage('F4', 'stopped', 5_000, 1_000),
  leader('F5', 'SIGKILL', 8_000),
  leader('F5b', 'SIGTERM', 500),
  diskFull,
  bucketsLost,
];
