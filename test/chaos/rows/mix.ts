import { problemsOf } from '../harness/judge.ts';
import { Load } from '../harness/load.ts';
import { machineMs } from '../harness/machine-clock.ts';
import type { NodeStats } from '../harness/node-program.ts';
import type { Row, Stage } from '../harness/row.ts';

type Fault = (stage: Stage, load: Load, nodeId: string) => Promise<void>;

/** Each ends what it began. Times are of the fault itself; what follows is the business of the mix. */
const faults: Readonly<Record<string, Fault>> = {
  async kill({ world }, _, nodeId) {
    await world.node(nodeId).kill();
    await world.start(nodeId);
  },
  async stop({ world }, _, nodeId) {
    await world.stop(nodeId);
    await world.start(nodeId);
  },
  async 'stand still'({ world }, load, nodeId) {
    await world.freeze(nodeId);
    await load.pass(4_000);
    world.thaw(nodeId);
  },
  async hesitate({ world }, load, nodeId) {
    await world.freeze(nodeId);
    await load.pass(1_200);
    world.thaw(nodeId);
  },
  async 'cut both ways'({ world }, load, nodeId) {
    await world.cut(nodeId);
    await load.pass(4_000);
    await world.heal(nodeId);
  },
  async 'cut one way'({ world }, load, nodeId) {
    await world.cut(nodeId, 'toNode');
    await load.pass(4_000);
    await world.heal(nodeId);
  },
  async 'cut briefly'({ world }, load, nodeId) {
    await world.cut(nodeId, 'toServer');
    await load.pass(700);
    await world.heal(nodeId);
  },
  async 'kill the server'({ world }, load) {
    await world.server.kill();
    await load.pass(1_500);
    await world.server.restart();
  },
  async 'stop the server'({ world }, load) {
    await world.server.freeze();
    await load.pass(3_000);
    world.server.thaw();
  },
};

const nodes = ['a', 'b', 'c'] as const;
const megabyte = 1_048_576;

/** A generator of 32-bit numbers (mulberry32), so that a seed gives the same faults again. */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Sample {
  readonly atMs: number;
  readonly stats: readonly NodeStats[];
}

/** Random faults for a time, in segments: each has keys of its own and is judged when it is over, so that nothing grows with the time. */
export function mix(id: string, seconds: (short: boolean) => number, everyMs: number): Row {
  return {
    id,
    fault: `a random fault every ${everyMs / 1_000} s, for a time`,
    toReach: 'the history holds; every key is served <= 10 s after the last fault; heap, handles and series flat',
    world: { apart: [...nodes], passivateAfterMs: 60_000 },
    keys: 20,
    perSecond: 20,
    okMin: 0,
    mayEnd: /^unknown (node|link)\.lost$|^no /,
    async run(stage) {
      const { world, intensity } = stage;
      const next = chance(intensity.seed);
      const clients = [await world.client(), await world.client()];
      const until = machineMs() + seconds(intensity.short) * 1_000;
      const injected = new Map<string, number>();
      const samples: Sample[] = [await sample(stage)];
      let [calls, ok] = [0, 0];
      for (let segment = 0; machineMs() < until; segment += 1) {
        const keys = Array.from({ length: intensity.keys }, (_, i) => `s${segment}-key-${i}`);
        const load = new Load({ sender: `s${segment}-`, clients, keys, perSecond: intensity.perSecond });
        await load.start();
        const end = Math.min(until, machineMs() + 60_000);
        while (machineMs() < end) await oneFault(stage, load, next, everyMs, injected);
        const since = machineMs();
        load.probe(keys);
        const { lastMs } = await load.recovered(keys, since);
        stage.check('every key is served again', lastMs <= 10_000, lastMs);
        await load.answersInARow(5, 10_000);
        await load.stop();
        ok += load.tally()['ok'] ?? 0;
        calls += load.outcomes.length;
        const { turns } = world.history();
        const own = turns.filter(({ key }) => key.startsWith(`s${segment}-`));
        for (const problem of problemsOf({ outcomes: load.outcomes, turns: own, mayDie: true })) stage.problems.push(problem);
        world.forget(`s${segment}-`);
        samples.push(await sample(stage));
        console.error(`  segment ${segment}: ${load.outcomes.length} calls, ${own.length} turns, ${stage.problems.length} problems`);
      }
      const count = [...injected.values()].reduce((sum, times) => sum + times, 0);
      stage.bit('faults were injected', count > 0);
      stage.note('faults', count, '');
      for (const [name, times] of injected) stage.note(`fault: ${name}`, times, '');
      stage.note('calls', calls, '');
      stage.above('calls answered', (100 * ok) / calls, 60, '%');
      slopes(stage, samples);
    },
  };
}

async function oneFault(stage: Stage, load: Load, next: () => number, everyMs: number, injected: Map<string, number>): Promise<void> {
  const { world } = stage;
  const begun = machineMs();
  const names = Object.keys(faults);
  const name = names[Math.floor(next() * names.length)]!;
  const nodeId = nodes[Math.floor(next() * nodes.length)]!;
  injected.set(name, (injected.get(name) ?? 0) + 1);
  await faults[name]!(stage, load, nodeId);
  await world.observer.settled(nodes, 30_000);
  await load.pass(Math.max(300, everyMs - (machineMs() - begun)));
}

async function sample({ world }: Stage): Promise<Sample> {
  return { atMs: machineMs(), stats: await Promise.all(world.nodes.map((node) => node.askStats())) };
}

/** How much a minute adds, from the first sample to the last: of all nodes in the mean. The first sample is cold and left out. */
function slopes(stage: Stage, samples: readonly Sample[]): void {
  const warm = samples.slice(1);
  const [first, last] = [warm[0], warm.at(-1)];
  if (first === undefined || last === undefined) return;
  const mean = (of: (stats: NodeStats) => number, { stats }: Sample): number => stats.reduce((sum, one) => sum + of(one), 0) / stats.length;
  const minutes = Math.max(1, (last.atMs - first.atMs) / 60_000);
  const tell = (name: string, unit: string, of: (stats: NodeStats) => number): void => {
    stage.note(`${name} at the end`, mean(of, last), unit);
    if (warm.length > 1) stage.note(`${name} per minute`, (mean(of, last) - mean(of, first)) / minutes, unit);
  };
  tell('heap of a node', 'MB', ({ heapBytes }) => heapBytes / megabyte);
  tell('handles of a node', '', ({ handles }) => handles);
  tell('series of a node', '', ({ series }) => series);
}

export const mixRows: readonly Row[] = [mix('F26', (short) => (short ? 25 : 60), 4_000)];
