import type { Seen } from './ledger.ts';
import type { Outcome } from './outcome.ts';
import type { Turn } from './trace.ts';

export interface History {
  /** Of all callers, wherever they were. */
  readonly outcomes: readonly Outcome[];
  readonly turns: readonly Turn[];
  readonly shardOf: (key: string) => number;
}

type Answer = Outcome & { readonly told: { readonly ok: Seen } };

/**
 * Everything in a history that the promise forbids, in words; empty when it holds. Decides exactly, in O(n log n): every turn is known, and the
 * values of one state are a total order.
 */
export function violations(history: History): string[] {
  return [...honestOutcomes(history), ...exactCounts(history), ...singleWriter(history), ...orderOfTurns(history), ...realTime(history)];
}

/** I11, I4: told as executed means once, told as not executed means never, anything else at most once. */
function honestOutcomes({ outcomes, turns }: History): string[] {
  const byRid = Map.groupBy(turns, ({ rid }) => rid);
  const found: string[] = [];
  for (const [rid, same] of byRid) if (same.length > 1) found.push(`${rid} was executed ${same.length} times`);
  for (const { method, rid, told } of outcomes) {
    if (method !== 'add') continue;
    const turn = byRid.get(rid)?.[0];
    if ('ok' in told) {
      if (turn === undefined) found.push(`${rid} was acknowledged and never executed`);
      else if (!sameSeen(told.ok, turn)) found.push(`${rid} was told ${text(told.ok)} and executed as ${text(turn)}`);
    } else if (told.executed === 'no' && turn !== undefined) found.push(`${rid} was executed and told as ${told.code}, not executed`);
  }
  return found;
}

/** I3, I4: each state went through 1, 2, 3 and so on, wherever it was: nothing was lost on a move, nothing counted twice. */
function exactCounts({ turns }: History): string[] {
  const found: string[] = [];
  for (const [born, same] of Map.groupBy(turns, (turn) => turn.born)) {
    const ordered = same.toSorted((a, b) => a.at - b.at);
    const wrong = ordered.find(({ value }, i) => value !== i + 1);
    if (wrong !== undefined) found.push(`${wrong.rid} made ${text(wrong)} of state ${born}, as turn ${ordered.indexOf(wrong) + 1}`);
  }
  return found;
}

/** I1, I2: one incarnation for each shard and epoch, and epochs that only rise. */
function singleWriter({ turns, shardOf }: History): string[] {
  const found: string[] = [];
  const holders = new Map<string, string>();
  const latest = new Map<number, Turn>();
  for (const turn of turns.toSorted((a, b) => a.at - b.at)) {
    const shard = shardOf(turn.key);
    const grant = `shard ${shard} epoch ${turn.epoch}`;
    const holder = `${turn.node} ${turn.by}`;
    const known = holders.get(grant);
    if (known === undefined) holders.set(grant, holder);
    else if (known !== holder) found.push(`${grant} was served by ${known} and by ${holder}`);
    const before = latest.get(shard);
    if (before !== undefined && turn.epoch < before.epoch)
      found.push(`${turn.rid} ran under epoch ${turn.epoch}, ${(turn.at - before.at).toFixed(1)} ms after a turn under ${before.epoch}`);
    else latest.set(shard, turn);
  }
  return found;
}

/** I6: the calls of one sender to one key run in the order in which they were made; `rid` is `<sender>/<key>/<number>`. */
function orderOfTurns({ turns }: History): string[] {
  const found: string[] = [];
  const last = new Map<string, number>();
  for (const { rid } of turns.toSorted((a, b) => a.at - b.at)) {
    const cut = rid.lastIndexOf('/');
    const sender = rid.slice(0, cut);
    const number = Number(rid.slice(cut + 1));
    const before = last.get(sender) ?? -1;
    if (number < before) found.push(`${rid} ran after number ${before} of the same sender`);
    last.set(sender, Math.max(before, number));
  }
  return found;
}

/** I5: what began after another call to its key had been answered sees at least what that one saw; an `add` sees more. */
function realTime({ outcomes, turns }: History): string[] {
  const found: string[] = [];
  const executed = Map.groupBy(turns, ({ key }) => key);
  for (const [key, calls] of Map.groupBy(outcomes.filter(isAnswer), (call) => call.key)) {
    const states = new Map((executed.get(key) ?? []).toSorted((a, b) => a.epoch - b.epoch).map(({ born }, i) => [born, i]));
    const begun = calls.toSorted((a, b) => a.t0 - b.t0);
    const ended = calls.toSorted((a, b) => a.t1 - b.t1);
    let done = 0;
    let highest: Answer | undefined;
    for (const call of begun) {
      for (let next = ended[done]; next !== undefined && next.t1 < call.t0; next = ended[done]) {
        if (highest === undefined || isAfter(next.told.ok, highest.told.ok, states)) highest = next;
        done += 1;
      }
      if (highest === undefined) continue;
      const [mine, theirs] = [call.told.ok, highest.told.ok];
      const isStale = isAfter(theirs, mine, states) || (call.method === 'add' && mine.born === theirs.born && mine.value === theirs.value);
      if (isStale) found.push(`${call.method} ${call.rid || key} saw ${text(mine)} after ${text(theirs)} had been answered`);
    }
  }
  return found;
}

function isAfter(a: Seen, b: Seen, states: ReadonlyMap<string, number>): boolean {
  if (a.born === b.born) return a.value > b.value || a.epoch > b.epoch;
  if (a.epoch !== b.epoch) return a.epoch > b.epoch;
  return (states.get(a.born) ?? -1) > (states.get(b.born) ?? -1);
}

function isAnswer(outcome: Outcome): outcome is Answer {
  return 'ok' in outcome.told;
}

function sameSeen(a: Seen, b: Seen): boolean {
  return a.value === b.value && a.born === b.born && a.epoch === b.epoch && a.by === b.by;
}

function text({ value, epoch, node, by }: Seen): string {
  return `${value} (epoch ${epoch}, ${node} ${by})`;
}
