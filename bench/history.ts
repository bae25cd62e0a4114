import {
  appendList,
  checkHistory,
  counter,
  type HistoryModel,
  type HistoryVerdict,
  type Operation,
  register,
  verdictText,
} from '@perkey/core/testing';
import { historyOf, type Kind } from './support/sound-history.ts';
import type { BenchOptions } from './support/bench.ts';
import { round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Row {
  readonly model: string;
  /** The share of the operations that go to a twentieth of the keys. */
  readonly hot_share: number;
  readonly operations: number;
  readonly keys: number;
  readonly unknown: number;
  readonly decision: string;
  readonly undecided_keys: number;
  readonly seconds: number;
  /** Of the processor, all threads of the process: what the machine gave to others is not in it. */
  readonly cpu_seconds: number;
  readonly operations_per_second: number;
}

const models: Readonly<Record<Kind, HistoryModel>> = {
  'append-list': appendList() as HistoryModel,
  counter: counter() as HistoryModel,
  register: register() as HistoryModel,
};

interface Timed {
  readonly verdict: HistoryVerdict;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

function timed(operations: readonly Operation[], model: HistoryModel): Timed {
  const start = performance.now();
  const cpu = process.cpuUsage();
  const verdict = checkHistory({ operations, events: [] }, { model, shardOf: (key) => Number(key.slice(4)) % 256 });
  const { user, system } = process.cpuUsage(cpu);
  return { verdict, seconds: (performance.now() - start) / 1_000, cpuSeconds: (user + system) / 1e6 };
}

function measure(kind: Kind, count: number, keys: number, hotShare: number): Row[] {
  const operations = historyOf(kind, count, keys, hotShare);
  const unknown = operations.filter(({ outcome }) => outcome === 'unknown').length;
  const row = (model: string, { verdict, seconds, cpuSeconds }: Timed): Row => ({
    ...{
      model,
      hot_share: hotShare,
      operations: count,
      keys,
      unknown,
      decision: verdict.decision,
      undecided_keys: verdict.undecided.length,
    },
    ...{ seconds: round(seconds, 2), cpu_seconds: round(cpuSeconds, 2), operations_per_second: Math.round(count / seconds) },
  });
  const sound = timed(operations, models[kind]);
  if (sound.verdict.decision === 'rejected') throw new Error(`a sound history was rejected: ${verdictText(sound.verdict)}`);
  const last = operations.findLastIndex(({ op, outcome, key }) => op === 'read' && outcome === 'ok' && key === 'key-7');
  const stale = operations.with(last, { ...operations[last]!, output: kind === 'register' ? 'never' : 1 });
  const planted = timed(stale, models[kind]);
  if (planted.verdict.decision !== 'rejected') throw new Error('the planted stale read was not found');
  say(verdictText(planted.verdict));
  return [row(kind, sound), row(`${kind}, a stale read planted`, planted)];
}

/** How long the history checker takes for a million operations on a thousand keys, a fiftieth of them of unknown outcome, sound and with one fault. */
export async function history(options: BenchOptions): Promise<{ readonly rows: readonly Row[] }> {
  const [count, keys] = options.quick ? [100_000, 100] : [1_000_000, 1_000];
  const rows = (Object.keys(models) as Kind[]).flatMap((kind) => measure(kind, count, keys, kind === 'register' ? 0.05 : 0.33));
  // Many writes under way to one key and no answer that places them: here the search may give up, and says so.
  rows.push(...measure('register', count / 10, keys / 10, 0.33));
  if (!options.json) console.table(rows);
  return { rows };
}
