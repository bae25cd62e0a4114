import { leastContradiction } from './explain.ts';
import type { HistoryFinding } from './finding.ts';
import { decideLadder } from './ladder.ts';
import { deathsOf, type Life, ordersOf, withLives } from './lives.ts';
import { type HistoryModel, relevantOf, type RelevantOperations } from './model.ts';
import type { Operation } from './operation.ts';
import { OrderSearch, type OrderSearchResult } from './order-search.ts';
import { orderOfPlaces } from './client-order.ts';

export interface KeyVerdict {
  readonly findings: readonly HistoryFinding[];
  readonly isUndecided: boolean;
}

/** Whether the requests of one key have an order, and the calls of each client in it theirs. At most `stepsMax` steps, and a few times as many to explain a no. */
export function decideKey<State>(key: string, requests: readonly Operation[], options: KeyOptions<State>): KeyVerdict {
  const first = decideIn(options.lives, key, requests, options);
  if (first.findings.length === 0 || options.lives.length < 2) return first;
  const { orders, isAll } = ordersOf(options.lives);
  for (const lives of orders) {
    const verdict = decideIn(lives, key, requests, options);
    if (verdict.findings.length === 0) return verdict;
  }
  return isAll ? first : { findings: [], isUndecided: true };
}

export interface KeyOptions<State> {
  readonly model: HistoryModel<State>;
  readonly lives: readonly Life[];
  readonly stepsMax: number;
}

function decideIn<State>(
  lives: readonly Life[],
  key: string,
  requests: readonly Operation[],
  { model, stepsMax }: KeyOptions<State>,
): KeyVerdict {
  const places = model.places?.(requests);
  if (places !== undefined) {
    const { findings, isUndecided, rungs } = decideLadder(key, places, lives, stepsMax);
    return { findings: [...findings, ...orderOfPlaces(key, rungs)], isUndecided };
  }
  const answered = requests.filter(({ outcome }) => outcome === 'ok');
  const unknown = requests.filter(({ outcome }) => outcome === 'unknown');
  const refused = requests.filter((operation) => operation.outcome === 'not executed' && !model.isRead(operation));
  const question = { answered, refused, stepsMax };
  const alive = { ...question, model, ...relevantOf(model, unknown, answered) };
  if (lives.length < 2) return search(key, alive);
  const mortal = withLives(model, lives);
  return search(key, { ...question, model: mortal, ...relevantOf(mortal, [...unknown, ...deathsOf(key, lives)], answered) });
}

interface Question<State> extends RelevantOperations {
  readonly model: HistoryModel<State>;
  readonly answered: readonly Operation[];
  readonly refused: readonly Operation[];
  readonly stepsMax: number;
}

function search<State>(key: string, question: Question<State>): KeyVerdict {
  const { model, answered, seen, difference, refused, stepsMax } = question;
  const run = (loose: readonly Operation[], inClientOrder: boolean = true): OrderSearchResult =>
    new OrderSearch(model, answered, loose, { stepsMax, inClientOrder }).run();
  let result = run(seen);
  if (result.decision !== 'found' && seen.length < difference.length) result = run(difference);
  if (result.decision === 'found') return { findings: [], isUndecided: false };
  const { farthest } = result;
  const least = leastContradiction(model, answered, difference, { farthest, stepsMax });
  // Where the whole is too much, a part of it may still be a contradiction by itself.
  if (result.decision === 'undecided' && least === undefined) return { findings: [], isUndecided: true };
  const operations = least ?? answered;
  const hasNumbers = answered.some(({ seq }) => seq !== undefined);
  const isOfClients = hasNumbers && run(difference, false).decision === 'found';
  const isDenied = !isOfClients && refused.length > 0 && run([...difference, ...refused]).decision === 'found';
  const what = operations.length === 1 ? 'nothing explains this answer' : `no order explains these ${operations.length} answers`;
  const but = isOfClients
    ? ' with the calls of each client in the order in which they were sent'
    : isDenied
      ? ' unless something was executed that was told as not executed'
      : '';
  const text = `${what}${but}; the farthest one got ${farthest.count} of ${answered.length} in order, to ${farthest.state.slice(0, 200)}`;
  const rule = isOfClients ? 'order of a client' : isDenied ? 'honest outcome' : 'linearizable';
  return { findings: [{ rule, key, text, operations }], isUndecided: false };
}
