import { median, percentile } from './numbers.ts';
import type { Beat } from './pulse.ts';

export type NodeEvent = 'sigterm' | 'kill';

/** One end of a node, as its callers saw it. Requests are those that were under way at the signal or began between it and the recovery. */
export interface Trial {
  readonly keysLost: number;
  readonly handoffsMs: readonly number[];
  readonly firstSuccessP50Ms: number;
  readonly firstSuccessMs: number;
  readonly requests: number;
  /** Ended with an error that says that they were not executed, or that the handler threw. */
  readonly failed: number;
  readonly unknown: number;
  readonly delayed: number;
  readonly lostUpdates: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  readonly p99BeforeMs: number;
  readonly codes: readonly string[];
}

export interface TrialFacts {
  readonly event: NodeEvent;
  readonly at: number;
  readonly pid: number;
  readonly lost: ReadonlySet<number>;
  readonly handoffsMs: readonly number[];
  readonly delayedOverMs: number;
}

/** The first moment is left out of what was before: connections and code are cold. */
const coldMs = 200;

export function readTrial(beats: readonly Beat[], facts: TrialFacts): Trial {
  const { at, lost, pid, handoffsMs, delayedOverMs } = facts;
  const firsts = [...lost].map((key) => firstSuccess(beats, key, at, pid) - at);
  const recoveredAt = at + Math.max(0, ...firsts.filter(Number.isFinite));
  const during = beats.filter(({ startedAt, endedAt }) => endedAt >= at && startedAt <= recoveredAt);
  const began = beats[0]?.startedAt ?? at;
  const before = beats.filter(({ startedAt, endedAt }) => startedAt > began + coldMs && endedAt < at);
  const times = timesOf(during);
  const bad = beats.filter(({ endedAt, code }) => endedAt >= at && code !== 'ok');
  return {
    keysLost: lost.size,
    handoffsMs,
    firstSuccessP50Ms: median(firsts),
    firstSuccessMs: Math.max(...firsts),
    requests: during.length,
    failed: bad.filter(({ executed }) => executed !== 'unknown').length,
    unknown: bad.filter(({ executed }) => executed === 'unknown').length,
    delayed: times.filter((ms) => ms > delayedOverMs).length,
    lostUpdates: lostUpdates(beats),
    p99Ms: percentile(times, 99),
    longestMs: times.at(-1) ?? Number.NaN,
    p99BeforeMs: percentile(timesOf(before), 99),
    codes: bad.map(({ code }) => code),
  };
}

/** Infinity for a key that nobody else ever answered for. */
function firstSuccess(beats: readonly Beat[], key: number, at: number, pid: number): number {
  return beats.find((beat) => beat.key === key && beat.code === 'ok' && beat.pid !== pid && beat.endedAt > at)?.endedAt ?? Infinity;
}

function timesOf(beats: readonly Beat[]): Float64Array {
  return Float64Array.from(beats, ({ startedAt, endedAt }) => endedAt - startedAt).sort();
}

/** How far the counters are behind the increments that were acknowledged. A request of unknown outcome may have counted, or not. */
function lostUpdates(beats: readonly Beat[]): number {
  const acknowledged = new Map<number, number>();
  const values = new Map<number, number>();
  for (const { key, code, value } of beats) {
    if (code !== 'ok') continue;
    acknowledged.set(key, (acknowledged.get(key) ?? 0) + 1);
    values.set(key, value);
  }
  let lost = 0;
  for (const [key, count] of acknowledged) lost += Math.max(0, count - (values.get(key) ?? 0));
  return lost;
}
