import { shardOf } from '@perkey/core/internal';
import { median } from '../../../bench/support/numbers.ts';
import { Odd } from '../harness/ledger.ts';
import { shardCount } from '../harness/judge.ts';
import { machineMs } from '../harness/machine-clock.ts';
import type { Row, Stage } from '../harness/row.ts';

/**
 * F1: kills a node with a long turn under way, again and again, each time another one. Every other time the harness asks each lost key at once, which
 * shows when it serves again; that is a burst of calls of its own, so what the other shards notice is judged the times between, under the load alone.
 */
function death(supervised: boolean): Row {
  const boundMs = supervised ? 500 : 3_000;
  return {
    id: `F1 ${supervised ? 'supervised' : 'alone'}`,
    fault: `kill -9 of a node, ${supervised ? 'a supervisor sees it' : 'nobody sees it'}`,
    toReach: `first success on each lost key <= ${boundMs} ms; other shards untouched, p99 within 2x${supervised ? ' of that while a process starts' : ''}; only calls in flight unknown`,
    world: { supervised },
    async run(stage) {
      const { world } = stage;
      await stage.load.pass(1_500);
      const controlMs = supervised ? await strangerStarts(stage) : 0;
      const victims = stage.intensity.short ? ['a', 'b'] : ['a', 'b', 'c', 'a', 'b', 'c'];
      const noticed: Noticed[] = [];
      let gapMs = 0;
      for (const [i, victim] of victims.entries()) {
        await world.observer.settled(['a', 'b', 'c']);
        if (i % 2 === 0) gapMs = await killAndProbe(stage, victim, boundMs);
        else noticed.push(await killUnderLoad(stage, victim, gapMs));
        if (supervised) {
          const before = world.node(victim);
          await before.until('its supervisor starts it again', () => before.isReady && before.running, 20_000);
        } else await world.start(victim);
      }
      const usualMs = median(noticed.map(({ beforeMs }) => beforeMs));
      stage.note('p99 of the other shards before, median kill', usualMs, 'ms');
      // The process that replaces the dead one starts on the same cores.
      const boundOfOthersMs = Math.max(2 * usualMs, 2 * controlMs, 5);
      stage.atMost(
        'p99 of the other shards meanwhile, median kill',
        median(noticed.map(({ meanwhileMs }) => meanwhileMs)),
        boundOfOthersMs,
      );
    },
  };
}

const afterMs = 1_500;
/** What is usual is taken from calls that were begun so long before the kill at the latest, and in as long a time as what is held against it. */
const usualGapMs = 50;

/** What it costs the callers that a process starts on these cores: a node of another cluster does, and nothing else happens. */
async function strangerStarts(stage: Stage): Promise<number> {
  const { world, load } = stage;
  const since = machineMs();
  const stranger = await world.stranger();
  await load.pass(Math.max(0, since + afterMs - machineMs()));
  const { p99Ms } = load.latency(since, since + afterMs);
  await stranger.stop();
  stage.note('p99 of all shards while a process starts, without a kill', p99Ms, 'ms');
  return p99Ms;
}

interface Death {
  readonly killedAt: number;
  readonly lost: readonly string[];
  readonly others: readonly string[];
  readonly first: string;
  /** To be called when it is over. */
  judge(backAt: number): Promise<void>;
}

async function kill(stage: Stage, victim: string): Promise<Death> {
  const { world, load } = stage;
  const { keys: lost, others, first } = await stage.victim(victim, false);
  const { outcome } = await stage.longTurn(victim, 5_000);
  world.kill(victim);
  const killedAt = machineMs();
  const judge = async (backAt: number): Promise<void> => {
    const { told } = await outcome;
    stage.bit('the long turn was lost', 'code' in told && told.executed === 'unknown' && told.code === 'node.lost');
    stage.untouched('keys of other nodes', killedAt, backAt, others);
    // What was sent before NATS had noticed its death is unknown; what came later waits.
    const late = load.within(killedAt, Infinity).filter(({ t0, told: end }) => t0 > killedAt + 150 && 'code' in end);
    stage.exactly('calls after the kill that failed', late.length, 0);
    stage.note('in flight and unknown', load.tally(killedAt, backAt, lost)['unknown node.lost'] ?? 0, 'calls');
  };
  return { killedAt, lost, others, first, judge };
}

/** How long each lost key is away; gives how long the last one was. */
async function killAndProbe(stage: Stage, victim: string, boundMs: number): Promise<number> {
  const { killedAt, lost, first, judge } = await kill(stage, victim);
  const backAt = await stage.gap(lost, killedAt, boundMs, first);
  await stage.load.pass(afterMs);
  await judge(backAt);
  return backAt - killedAt;
}

/** The p99 of calls to other shards, and in as long a time before the kill. */
interface Noticed {
  readonly beforeMs: number;
  readonly meanwhileMs: number;
}

/** What callers of other shards notice, in as long a time as lost keys were away before, and `afterMs` more. */
async function killUnderLoad(stage: Stage, victim: string, gapMs: number): Promise<Noticed> {
  const { world, load } = stage;
  const spanMs = gapMs + afterMs;
  await load.pass(spanMs + usualGapMs);
  const epochOf = (key: string): number | undefined => world.observer.ownerOf(shardOf(key, shardCount))?.epoch;
  const epochs = new Map(load.keys.map((key) => [key, epochOf(key)]));
  const { killedAt, lost, others, first, judge } = await kill(stage, victim);
  const until = killedAt + spanMs;
  await load.pass(until - machineMs());
  // What moves to the process that replaces the dead one is a planned move, and judged by F23.
  const stayed = others.filter((key) => epochOf(key) === epochs.get(key));
  // Only now: going through all outcomes takes this process, which is also the caller, long enough to be seen in the times of calls.
  const beforeMs = load.latency(killedAt - usualGapMs - spanMs, killedAt - usualGapMs, others).p99Ms;
  const meanwhileMs = load.latency(killedAt, until, stayed).p99Ms;
  stage.note('p99 of the other shards before', beforeMs, 'ms');
  stage.note('p99 of the other shards meanwhile', meanwhileMs, 'ms');
  await load.recovered(lost, killedAt, first);
  await judge(killedAt + gapMs);
  return { beforeMs, meanwhileMs };
}

/** F2: a process stands still for longer than its lease, in the middle of a turn, with others waiting behind it. */
const frozen: Row = {
  id: 'F2',
  fault: 'SIGSTOP of a node for 30 s, then SIGCONT',
  toReach: 'gap <= 3.5 s; no turn starts after the wake before it has joined anew; joins again <= 2 s after it',
  async run(stage) {
    const { world, load } = stage;
    const { node: a, keys: keysOfA, first } = await stage.victim('a');
    const { outcome } = await stage.longTurn('a', 500);
    await world.freeze('a');
    const frozenAt = machineMs();
    await stage.gap(keysOfA, frozenAt, 3_500, first);
    if (!stage.intensity.short) await load.pass(Math.max(0, 30_000 - (machineMs() - frozenAt)));
    world.thaw('a');
    const thawedAt = machineMs();
    await a.until('it joins again', () => a.incarnations.length === 2);
    stage.atMost('joins again after', machineMs() - thawedAt, 2_000);
    await world.observer.settled(['a', 'b', 'c']);
    const { told } = await outcome;
    stage.bit('the long turn was lost', 'code' in told && told.code === 'node.lost');
    stage.bit('calls waited for the stopped node', (load.tally(frozenAt, thawedAt, keysOfA)['unknown node.lost'] ?? 0) > 8);
    const late = world.turns().filter(({ by, at }) => by === first && at > thawedAt);
    stage.exactly('turns of the old incarnation after the wake', late.length, 0);
  },
};

/** F15: a handler holds the event loop for longer than the lease. */
const stalled: Row = {
  id: 'F15',
  fault: 'a handler holds the event loop of its node for 10 s',
  toReach: 'gap <= 3.5 s; the log names the actor type and the method',
  async run(stage) {
    const { world, load } = stage;
    const { node: a, keys: keysOfA, first } = await stage.victim('a');
    const [key = ''] = keysOfA;
    const client = await world.client();
    const ms = stage.intensity.short ? 5_000 : 10_000;
    const blocked = client
      .actor(Odd, key)
      .block({ ms })
      .then(
        () => 'ok',
        (error: { code: string }) => error.code,
      );
    await load.pass(20);
    await stage.gap(keysOfA, machineMs(), 3_500, first);
    await stage.backAgain(a);
    stage.bit('the blocking call was lost', (await blocked) === 'node.lost');
    const named = a.log.filter(({ fields }) => fields['type'] === 'odd' && fields['where'] === 'block');
    stage.check('no line of the log names the actor type and the method', named.length > 0, a.log.slice(-5));
  },
};

/** F23 and the rolling restart: each node is told to stop, with a turn under way, and started again. */
function rolling(rounds: number): Row {
  return {
    id: rounds === 1 ? 'F23' : `rolling restart`,
    keepsState: true,
    fault: `rolling restart of all nodes by SIGTERM${rounds > 1 ? `, ${rounds} times over` : ''}`,
    toReach: '0 failed, 0 unknown, exact counts; p99 <= 100 ms during the roll; gap <= 500 ms for each step',
    mayEnd: /^never$/,
    async run(stage) {
      const { world, load } = stage;
      await load.pass(1_500);
      const usual = load.latency(machineMs() - 1_000, Infinity);
      stage.note('p99 before', usual.p99Ms, 'ms');
      const since = machineMs();
      let slowest = 0;
      for (const nodeId of Array.from({ length: rounds }, () => ['a', 'b', 'c']).flat()) {
        const keys = stage.keysOf(nodeId);
        const { incarnation } = world.node(nodeId);
        await stage.longTurn(nodeId, 100);
        const stoppedAt = machineMs();
        const code = await world.stop(nodeId);
        stage.check(`node ${nodeId} does not end well`, code === 0, code);
        await load.recovered(keys, stoppedAt, incarnation);
        slowest = Math.max(slowest, load.latency(stoppedAt, machineMs(), keys).maxMs);
        await world.start(nodeId);
        await world.observer.settled(['a', 'b', 'c']);
      }
      const { p99Ms, maxMs } = load.latency(since, machineMs());
      stage.atMost('p99 during the roll', p99Ms, 100);
      stage.atMost('longest call of a step', Math.max(slowest, maxMs), 500);
      stage.bit('every node was replaced', world.processes.length === 3 + 3 * rounds);
      await load.stop();
      const { ok = 0, ...others } = load.tally();
      stage.exactly(
        'calls that failed or are unknown',
        Object.values(others).reduce((sum, count) => sum + count, 0),
        0,
      );
      stage.note('calls answered', ok, 'calls');
      stage.exactly('counters that are not exact', countsAreExact(stage), 0);
    },
  };
}

/** Every counter is at the number of its acknowledged calls, in one state from first to last. */
function countsAreExact({ load, world }: Stage): number {
  const turns = Map.groupBy(world.turns(), ({ key }) => key);
  let wrong = 0;
  for (const [key, calls] of Map.groupBy(load.outcomes, (outcome) => outcome.key)) {
    const added = calls.filter(({ method }) => method === 'add').length;
    const same = turns.get(key) ?? [];
    if (same.length !== added || new Set(same.map(({ born }) => born)).size > 1) wrong += 1;
  }
  return wrong;
}

/** F24: more nodes and fewer again. */
const scaling: Row = {
  id: 'F24',
  keepsState: true,
  fault: 'from 1 node to 8 and back to 1',
  toReach: 'gap <= 500 ms for each shard; moved shards <= 1.2 x the least; 0 errors',
  world: { nodes: ['a'] },
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    await load.pass(1_000);
    const since = machineMs();
    const ids = stage.intensity.short ? ['b', 'c', 'd'] : ['b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const grown = ['a'];
    let least = 0;
    const before = world.observer.grants.length;
    for (const nodeId of ids) {
      grown.push(nodeId);
      await world.start(nodeId);
      await world.observer.settled(grown);
      least += Math.floor(shardCount / grown.length);
    }
    while (grown.length > 1) {
      const nodeId = grown.pop()!;
      least += Math.floor(shardCount / (grown.length + 1));
      await world.stop(nodeId);
      await world.observer.settled(grown);
    }
    const moved = world.observer.grants.slice(before).filter(({ state }) => state === 'owned').length;
    stage.bit('shards moved', moved > 0);
    stage.note('moves that are needed', least, 'shards');
    stage.below('moves', moved, Math.ceil(least * 1.2), 'shards');
    stage.atMost('longest call', load.latency(since, machineMs()).maxMs, 500);
  },
};

export const deaths: readonly Row[] = [death(true), death(false), frozen, stalled, rolling(1), scaling];
export const rollingRestart: Row = rolling(3);
