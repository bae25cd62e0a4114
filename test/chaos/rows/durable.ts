import { Load } from '../harness/load.ts';
import { machineMs } from '../harness/machine-clock.ts';
import type { Row, Stage } from '../harness/row.ts';
import { slowToRead, standStillUnread } from './links.ts';

/** Actors with their history in JetStream, whose callers repeat what is unknown: each is in the log exactly once, or refused before it ran. */
const repeated = { idempotent: true, perSecond: 1_000, mayEnd: /^no (node\.overloaded|shard\.moved)$/ } as const;

/** The client library's own tests of the connection would end it before the bytes are released. */
const patient = { pingIntervalMs: 60_000 };

/** Runs of handlers by this incarnation from `since` on. A run is traced whether or not its commit was stored. */
function runsBy({ world }: Stage, incarnation: string, since: number): ReturnType<Stage['world']['turns']> {
  return world.turns().filter(({ by, at }) => by === incarnation && at > since);
}

/** F1: what a node has stored and not answered yet when it dies is answered by its successor, and not done again. */
const killed: Row = {
  ...repeated,
  id: 'F1 log',
  fault: 'kill -9 of owners of durable actors, after their last answers were lost on the way; every change is repeated under its key',
  toReach: 'gap <= 3.5 s; every change answered, and in its stream exactly once',
  world: { durable: true, apart: ['a', 'b'], by: 'proxy' },
  async run(stage) {
    const { world, load } = stage;
    await load.pass(1_000);
    for (const victim of stage.intensity.short ? ['a'] : ['a', 'b']) {
      const keys = stage.keysOf(victim);
      const { incarnation } = world.node(victim);
      void world.proxy(victim).cut('toServer');
      const heldAt = machineMs();
      await load.pass(150);
      await world.node(victim).kill();
      const killedAt = machineMs();
      const runs = runsBy(stage, incarnation, heldAt);
      world.proxy(victim).reset();
      await world.heal(victim);
      await stage.gap(keys, killedAt, 3_500, incarnation);
      stage.note('runs whose answers were lost', runs.length, 'turns');
      const repeats = load.outcomes.filter(
        ({ told, t1, rid }) => 'ok' in told && told.ok.by === incarnation && t1 > killedAt && rid !== '',
      );
      stage.bit('changes of the dead node were answered by its successor', repeats.length >= 5);
      await world.start(victim);
      await world.observer.settled(['a', 'b', 'c']);
    }
  },
};

/** F2 and F6: an owner stands still, or is cut off, in the middle of its appends. */
function away(id: string, how: 'frozen' | 'cut'): Row {
  return {
    ...repeated,
    id,
    fault: `an owner of durable actors ${how === 'frozen' ? 'stands still (SIGSTOP)' : 'is cut off from NATS'} until others have taken over, and comes back`,
    toReach: 'gap <= 3.5 s; every change answered, and in its stream exactly once',
    world: { durable: true, ...(how === 'cut' && { apart: ['a'] }) },
    async run(stage) {
      const { world, load } = stage;
      const { node: a, keys, first } = await stage.victim('a');
      const { rid, outcome } = await stage.longTurn('a', 300);
      if (how === 'frozen') await world.freeze('a');
      else await world.cut('a');
      const sinceMs = machineMs();
      await stage.gap(keys, sinceMs, 3_500, first);
      await load.pass(stage.intensity.short ? 500 : 3_000);
      if (how === 'frozen') world.thaw('a');
      else await world.heal('a');
      const backAt = machineMs();
      await stage.backAgain(a);
      const { told } = await outcome;
      stage.bit('the long turn was run again by another owner', 'ok' in told && told.ok.by !== first);
      stage.bit('it had run before', world.turns().filter((turn) => turn.rid === rid).length > 1);
      const late = how === 'frozen' ? runsBy(stage, first, backAt) : [];
      stage.exactly('turns of the old incarnation after its return', late.length, 0);
    },
  };
}

/**
 * F8: appends on their way to the store while others take over. Beside the load there are keys that nobody changes afterwards: nothing but the
 * fence of their new owner keeps from them what comes late.
 */
const lateAppends: Row = {
  id: 'F8 log',
  fault: "an owner's appends, answers and renewals are held and released after the take-over",
  toReach: 'the store takes none of them; nothing comes into a stream after a later owner has answered',
  perSecond: 1_000,
  // A call that a later one of its caller overtook is refused as not executed; the log decides whether that is true.
  mayEnd: /^(unknown node\.lost|no shard\.moved)$/,
  world: { durable: true, apart: ['a'], by: 'proxy', nats: patient, jetstream: patient },
  async run(stage) {
    const { world, load } = stage;
    const { observer } = world;
    const a = world.node('a');
    const clients = [await world.client()];
    const all = Array.from({ length: 200 }, (_, i) => `quiet-${i}`);
    const keys = world.owned('a', all);
    const quiet = new Load({ sender: 'q', clients, keys, perSecond: 1 });
    await Promise.all(keys.map((key) => quiet.add(key).outcome));
    const keysOfA = stage.keysOf('a');
    await load.pass(1_000);
    const first = a.incarnation;
    const proxy = world.storeProxy('a').proxies[0]!;
    world.hold('a', 'toServer');
    const heldAt = machineMs();
    const late = keys.map((key) => quiet.add(key).outcome);
    await stage.gap(keysOfA, heldAt, 3_500, first);
    await observer.settled(['b', 'c']);
    const ends = await Promise.all(late);
    const before = await Promise.all(keys.map((key) => quiet.get(key)));
    stage.note('bytes of appends held', proxy.held('toServer'), 'bytes');
    stage.bit('appends were held', proxy.held('toServer') > 200 * keys.length);
    stage.bit(
      'their callers were told that they are unknown',
      ends.filter(({ told }) => 'code' in told && told.executed === 'unknown').length > keys.length / 2,
    );
    stage.bit(
      'a later owner has answered',
      before.every(({ told }) => 'ok' in told && told.ok.by !== first),
    );
    world.release('a');
    await stage.backAgain(a);
    await Promise.all(keys.map((key) => quiet.get(key)));
    const sent = runsBy(stage, first, heldAt);
    stage.note('runs whose appends were held', sent.length, 'turns');
    const { turns } = await world.stored();
    const rids = new Set(turns.map(({ rid }) => rid));
    stage.note('of them not stored', sent.filter(({ rid }) => !rids.has(rid)).length, 'turns');
    load.outcomes.push(...quiet.outcomes);
  },
};

/** F25: a node stands still until the server drops its connections. */
const slowConsumer: Row = {
  ...repeated,
  id: 'F25 log',
  fault: 'an owner of durable actors stands still until NATS drops its connection for not reading; every change is repeated under its key',
  toReach: 'every change answered, and in its stream exactly once',
  world: { durable: true, serverConfig: slowToRead },
  run: standStillUnread,
};

/** F28: a release that writes a newer version of an event goes over the cluster, node by node. */
const mixedVersions: Row = {
  id: 'F28',
  fault: 'nodes are replaced one by one by a release that writes a newer version of an event; the first of them stops again in between',
  toReach:
    'a node that does not know the version refuses by name and executes nothing; 0 violations; every key answers when all are replaced',
  perSecond: 1_000,
  okMin: 0.3,
  mayEnd: /^no event\.unknown$/,
  world: { durable: true },
  async run(stage) {
    const { world, load } = stage;
    await load.pass(1_000);
    const since = machineMs();
    const replace = async (nodeId: string): Promise<void> => {
      await world.stop(nodeId);
      await world.start(nodeId, { eventVersion: 2 });
      await world.observer.settled(['a', 'b', 'c']);
      await load.pass(500);
    };
    await replace('a');
    // What the first of the new release has written falls back to the former one.
    await world.stop('a');
    await load.pass(1_000);
    await world.start('a', { eventVersion: 2 });
    await world.observer.settled(['a', 'b', 'c']);
    for (const nodeId of ['b', 'c']) await replace(nodeId);
    const replacedAt = machineMs();
    await stage.gap(load.keys, replacedAt, 3_500);
    const refused = load.within(since, replacedAt).filter(({ told }) => 'code' in told && told.code === 'event.unknown');
    stage.note('refused by nodes of the former release', refused.length, 'calls');
    stage.bit('events of the newer version met nodes of the former release', refused.length > 10);
    const [sample] = refused;
    const text = sample !== undefined && 'code' in sample.told ? sample.told.message : '';
    stage.check('the refusal does not name the event and its version', /"Added" in version 2 of ledger/.test(text), text);
    await load.pass(1_000);
    const after = load.within(replacedAt, Infinity).filter(({ told, t0 }) => t0 > replacedAt && 'code' in told);
    stage.exactly('calls refused when all are replaced', after.length, 0);
  },
};

export const durableRows: readonly Row[] = [
  killed,
  away('F2 log', 'frozen'),
  away('F6 log', 'cut'),
  lateAppends,
  slowConsumer,
  mixedVersions,
];
