import { connect } from '@perkey/core';
import { nats } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchOptions } from './support/bench.ts';
import { type NodeEvent, readTrial, type Trial } from './support/failover-trial.ts';
import { NodeProcesses } from './support/node-processes.ts';
import { median, round } from './support/numbers.ts';
import { Pulse } from './support/pulse.ts';
import { say } from './support/say.ts';

interface Row {
  readonly event: NodeEvent;
  readonly supervised: boolean;
  readonly trials: number;
  readonly keys_lost: number;
  /** From the end of admission for a shard to its claim by the successor, as the leaving node sees it. */
  readonly handoff_p50_ms: number | null;
  readonly handoff_max_ms: number | null;
  /** From the signal to the first answer by another node: the middle one of the lost keys, and the last of them. */
  readonly first_success_p50_ms: number;
  readonly first_success_ms: number;
  readonly first_success_worst_ms: number;
  readonly requests: number;
  readonly failed: number;
  readonly unknown: number;
  readonly delayed: number;
  /** Acknowledged increments that the counters of a planned move do not hold; for a kill `null`, since volatile state dies with its process. */
  readonly lost_updates: number | null;
  readonly p99_ms: number;
  readonly longest_ms: number;
  readonly p99_before_ms: number;
}

export interface FailoverResult {
  readonly rows: readonly Row[];
  readonly nodes: number;
  readonly keys: number;
  readonly delayed_over_ms: number;
  readonly nats_server_used: string;
  /** Codes of the errors that callers saw, by event. */
  readonly errors: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const nodeIds = ['node-0', 'node-1', 'node-2', 'node-3'];
const keys = 200;
const everyMs = 20;
const delayedOverMs = 50;
const recoveryLimitMs = 15_000;

interface Settings {
  readonly trials: number;
  readonly quietMs: number;
}

class Failover {
  readonly #servers: string;
  readonly #settings: Settings;

  constructor(servers: string, settings: Settings) {
    this.#servers = servers;
    this.#settings = settings;
  }

  async measure(supervised: boolean, events: readonly NodeEvent[]): Promise<ReadonlyMap<NodeEvent, readonly Trial[]>> {
    await using nodes = new NodeProcesses(this.#servers, supervised);
    await Promise.all(nodeIds.map((nodeId) => nodes.start(nodeId)));
    await using client = await connect({ cluster: 'bench', transport: nats({ servers: this.#servers }) });
    const byEvent = new Map<NodeEvent, readonly Trial[]>();
    for (const event of events) {
      const trials: Trial[] = [];
      for (let i = 0; i < this.#settings.trials; i += 1) {
        await nodes.settled();
        const nodeId = nodeIds[i % nodeIds.length] as string;
        trials.push(await this.#trial(client, nodes, nodeId, event));
        await nodes.revive(nodeId, event === 'kill');
      }
      byEvent.set(event, trials);
    }
    return byEvent;
  }

  async #trial(client: ConstructorParameters<typeof Pulse>[0], nodes: NodeProcesses, nodeId: string, event: NodeEvent): Promise<Trial> {
    const { quietMs } = this.#settings;
    const pulse = new Pulse(client, `${event}-${nodeId}-${performance.now()}`, keys, everyMs);
    pulse.start();
    await delay(quietMs);
    const ended = nodes.end(nodeId, event === 'sigterm' ? 'SIGTERM' : 'SIGKILL');
    const lost = new Set(pulse.beats.filter(({ pid }) => pid === ended.pid).map(({ key }) => key));
    const recovered = (): boolean => {
      const back = new Set(
        pulse.beats.filter(({ pid, endedAt }) => pid !== 0 && pid !== ended.pid && endedAt > ended.at).map(({ key }) => key),
      );
      return [...lost].every((key) => back.has(key));
    };
    while (!recovered() && performance.now() - ended.at < recoveryLimitMs) await delay(20);
    await delay(quietMs / 2);
    await pulse.stop();
    const handoffsMs = await ended.handoffsMs;
    return readTrial(pulse.beats, { event, at: ended.at, pid: ended.pid, lost, handoffsMs, delayedOverMs });
  }
}

function rowOf(event: NodeEvent, supervised: boolean, trials: readonly Trial[]): Row {
  const sum = (of: (trial: Trial) => number): number => trials.reduce((total, trial) => total + of(trial), 0);
  const middle = (of: (trial: Trial) => number): number => round(median(trials.map(of)), 1);
  const most = (of: (trial: Trial) => number): number => round(Math.max(...trials.map(of)), 1);
  const handoffs = trials.flatMap((trial) => trial.handoffsMs);
  const row: Row = {
    event,
    supervised,
    trials: trials.length,
    keys_lost: sum(({ keysLost }) => keysLost),
    handoff_p50_ms: handoffs.length > 0 ? round(median(handoffs), 1) : null,
    handoff_max_ms: handoffs.length > 0 ? round(Math.max(...handoffs), 1) : null,
    first_success_p50_ms: middle(({ firstSuccessP50Ms }) => firstSuccessP50Ms),
    first_success_ms: middle(({ firstSuccessMs }) => firstSuccessMs),
    first_success_worst_ms: most(({ firstSuccessMs }) => firstSuccessMs),
    requests: sum(({ requests }) => requests),
    failed: sum(({ failed }) => failed),
    unknown: sum(({ unknown }) => unknown),
    delayed: sum(({ delayed }) => delayed),
    lost_updates: event === 'sigterm' ? sum(({ lostUpdates }) => lostUpdates) : null,
    p99_ms: middle(({ p99Ms }) => p99Ms),
    longest_ms: most(({ longestMs }) => longestMs),
    p99_before_ms: middle(({ p99BeforeMs }) => p99BeforeMs),
  };
  say(
    `  ${event}${supervised ? ', supervised' : ''}: all keys answered after ${row.first_success_ms} ms, ${row.failed} failed, ${row.unknown} unknown`,
  );
  return row;
}

function errorsOf(trials: readonly Trial[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { codes } of trials) for (const code of codes) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

/**
 * What callers see of the end of a node: a cluster of four node processes under steady load from a thin client, of which one is told to stop
 * (SIGTERM) or killed (`kill -9`), under supervisors and without. Against the same load just before the event.
 */
export async function failover(options: BenchOptions): Promise<FailoverResult> {
  const settings = options.quick ? { trials: 1, quietMs: 500 } : { trials: 5, quietMs: 2_000 };
  const rows: Row[] = [];
  const errors: Record<string, Readonly<Record<string, number>>> = {};
  let version = '';
  for (const supervised of [true, false]) {
    await using server = await startNatsServer();
    version = server.info.version;
    const byEvent = await new Failover(server.url, settings).measure(supervised, ['sigterm', 'kill']);
    for (const [event, trials] of byEvent) {
      rows.push(rowOf(event, supervised, trials));
      errors[`${event}${supervised ? ', supervised' : ''}`] = errorsOf(trials);
    }
  }
  const result = { rows, nodes: nodeIds.length, keys, delayed_over_ms: delayedOverMs, nats_server_used: version, errors };
  if (!options.json) {
    for (const row of rows) console.table(row);
    console.log(errors);
  }
  return result;
}
