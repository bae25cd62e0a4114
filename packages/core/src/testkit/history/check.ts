import { decideKey } from './decide-key.ts';
import type { HistoryFinding } from './finding.ts';
import { type HistoryFigures, figuresOf } from './figures.ts';
import { type AliveAtTheEnd, aliveAtTheEnd, gapsPerKey } from './liveness.ts';
import { type Life, livesOf } from './lives.ts';
import { auditLog } from './log-audit.ts';
import type { HistoryModel } from './model.ts';
import type { History, LoggedEvent, Operation } from './operation.ts';
import { ownership } from './ownership.ts';
import { requestsOf } from './requests.ts';
import { operationText, timeText } from './text.ts';
import { type LeastOfHistory, vacuity } from './vacuity.ts';

/** The state of a key died between two answers. */
export interface StateLoss {
  readonly key: string;
  readonly before: string;
  readonly after: string;
  /** The former life was still there after this... */
  readonly from: number;
  /** ...and the next one was there before this. */
  readonly to: number;
}

export interface CheckHistoryOptions<State = unknown> {
  /** What every key is: `counter()`, `register()`, `appendList()`, or a model of your own. */
  readonly model: HistoryModel<State>;
  /** Which shard a key belongs to, for the rules about epochs. Default: each key is a shard of its own. */
  readonly shardOf?: (key: string) => string | number;
  /** Whether a state may have died, as one in memory does with its process. Default: never. */
  readonly mayDie?: (loss: StateLoss) => boolean;
  /** Whether the events are the whole log, so that an answer without its event is a loss. Default: yes if there are any events. */
  readonly isLogComplete?: boolean;
  /** Which answered operations must have left an event in a complete log. Default: those with a `rid` that are no reads of the model. */
  readonly hasEvent?: (operation: Operation) => boolean;
  /** How many steps the search for an order may take for one key. Default 200,000, or 20 for each request if that is more. A key that would need more is undecided. */
  readonly stepsMax?: number;
  readonly atTheEnd?: AliveAtTheEnd;
  /** The longest time that a key may be called in vain. Default: any. */
  readonly gapMsMax?: number;
  readonly least?: LeastOfHistory;
  /** How many findings are kept; all are counted. Default 20. */
  readonly findingsMax?: number;
}

export interface HistoryVerdict {
  /** `undecided`: nothing was found, but for some keys the search was given up. It is not a pass. */
  readonly decision: 'accepted' | 'rejected' | 'undecided';
  readonly findings: readonly HistoryFinding[];
  readonly findingCount: number;
  /** The keys that could not be decided within `stepsMax`. */
  readonly undecided: readonly string[];
  readonly figures: HistoryFigures;
}

/**
 * Decides whether what was seen can have happened in a system that keeps its promises. Never passes what it could not decide. Throws a TypeError for
 * operations that are none: an unknown name, times that run backwards, an answer without its life beside others that have one.
 */
export function checkHistory<State>(history: History, options: CheckHistoryOptions<State>): HistoryVerdict {
  const { shardOf = (key) => key, findingsMax = 20, gapMsMax = Infinity, atTheEnd, least = {} } = options;
  const { operations, events } = history;
  for (const operation of operations) validate(operation);
  const findings = new Findings(findingsMax);
  findings.add(vacuity(operations, least));
  const undecided: string[] = [];
  const requests: Operation[] = [];
  const logs = Map.groupBy(events, ({ key }) => key);
  for (const [key, own] of byKey(operations, logs)) {
    const merged = requestsOf(own);
    findings.add(merged.findings);
    for (const request of merged.operations) requests.push(request);
    if (checkKey(key, merged.operations, logs.get(key) ?? [], options, findings, events.length > 0)) undecided.push(key);
  }
  findings.add(ownership(requests, events, shardOf));
  if (atTheEnd) findings.add(aliveAtTheEnd(operations, atTheEnd));
  const gaps = gapsPerKey(operations);
  for (const { key, gapMs, from, to } of gaps) {
    if (gapMs <= gapMsMax) break;
    const text = `no answer for ${timeText(gapMs)} ms, from ${timeText(from)} to ${timeText(to)}; at most ${gapMsMax} ms were allowed`;
    findings.add([{ rule: 'bounded gap', key, text, operations: [] }]);
  }
  const decision = findings.count > 0 ? 'rejected' : undecided.length > 0 ? 'undecided' : 'accepted';
  return { decision, findings: findings.kept, findingCount: findings.count, undecided, figures: figuresOf(history, gaps) };
}

/** Throws with the whole verdict as its message unless the history is accepted. */
export function expectHistory<State>(history: History, options: CheckHistoryOptions<State>): HistoryVerdict {
  const verdict = checkHistory(history, options);
  if (verdict.decision !== 'accepted') throw new Error(verdictText(verdict));
  return verdict;
}

/** For people: each finding with its operations below it, in the order of their start. */
export function verdictText({ decision, findings, findingCount, undecided, figures }: HistoryVerdict): string {
  const { operations, answered, notExecuted, unknown, keys } = figures;
  const lines = [
    `${decision}: ${operations} operations (${answered} answered, ${notExecuted} not executed, ${unknown} unknown) on ${keys} keys`,
  ];
  for (const finding of findings) {
    lines.push(`${finding.rule}${finding.key === '' ? '' : ` (key ${finding.key})`}: ${finding.text}`);
    for (const operation of finding.operations.toSorted((a, b) => a.t0 - b.t0).slice(0, 20)) lines.push(`  ${operationText(operation)}`);
    if (finding.operations.length > 20) lines.push(`  and ${finding.operations.length - 20} more`);
  }
  if (findingCount > findings.length) lines.push(`and ${findingCount - findings.length} more findings`);
  if (undecided.length > 0)
    lines.push(
      `not decided within the steps allowed: ${undecided.slice(0, 20).join(', ')}${undecided.length > 20 ? ` and ${undecided.length - 20} more keys` : ''}`,
    );
  return lines.join('\n');
}

class Findings {
  readonly kept: HistoryFinding[] = [];
  readonly #max: number;
  count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(found: readonly HistoryFinding[]): void {
    this.count += found.length;
    for (const finding of found) if (this.kept.length < this.#max) this.kept.push(finding);
  }
}

/** Returns whether the key is undecided. */
function checkKey<State>(
  key: string,
  requests: readonly Operation[],
  log: readonly LoggedEvent[],
  options: CheckHistoryOptions<State>,
  findings: Findings,
  hasLog: boolean,
): boolean {
  const { model, stepsMax = Math.max(200_000, 20 * requests.length), mayDie = () => false, isLogComplete = hasLog } = options;
  const { hasEvent = (operation: Operation) => operation.rid !== undefined && !model.isRead(operation) } = options;
  const lives = livesOf(requests);
  findings.add(losses(key, lives, mayDie));
  if (isLogComplete || log.length > 0) findings.add(auditLog(key, log, requests, (operation) => isLogComplete && hasEvent(operation)));
  const { findings: found, isUndecided } = decideKey(key, requests, { model, lives, stepsMax });
  findings.add(found);
  return isUndecided;
}

function losses(key: string, lives: readonly Life[], mayDie: (loss: StateLoss) => boolean): HistoryFinding[] {
  const findings: HistoryFinding[] = [];
  lives.forEach((life, i) => {
    const former = lives[i - 1];
    if (former === undefined) return;
    const loss = { key, before: former.name, after: life.name, from: former.lastStart, to: life.firstEnd };
    if (mayDie(loss)) return;
    const text = `the state ${loss.before} was lost between ${timeText(loss.from)} and ${timeText(loss.to)}; ${loss.after} began anew`;
    findings.push({ rule: 'state kept', key, text, operations: [] });
  });
  return findings;
}

function byKey(operations: readonly Operation[], logs: ReadonlyMap<string, unknown>): Map<string, Operation[]> {
  const groups = Map.groupBy(operations, ({ key }) => key);
  for (const key of logs.keys()) if (!groups.has(key)) groups.set(key, []);
  return groups;
}

function validate(operation: Operation): void {
  const { t0, t1, outcome } = operation;
  if (!Number.isFinite(t0) || !(t1 >= t0)) throw new TypeError(`an operation ends no earlier than it begins: ${operationText(operation)}`);
  if (outcome === 'ok' && t1 === Infinity) throw new TypeError(`an answered operation has an end: ${operationText(operation)}`);
}
