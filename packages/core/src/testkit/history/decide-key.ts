import { leastContradiction } from './explain.ts';
import type { HistoryFinding } from './finding.ts';
import { decideLadder } from './ladder.ts';
import { deathsOf, type Life, withLives } from './lives.ts';
import { type HistoryModel, relevantOf } from './model.ts';
import type { Operation } from './operation.ts';
import { OrderSearch, type OrderSearchResult } from './order-search.ts';
import { orderOfPlaces } from './client-order.ts';

export interface KeyVerdict {
  readonly findings: readonly HistoryFinding[];
  readonly isUndecided: boolean;
}

/** Whether the requests of one key have an order, and the calls of each client in it theirs. At most `stepsMax` steps, and a few times as many to explain a no. */
export function decideKey<State>(
  key: string,
  requests: readonly Operation[],
  { model, lives, stepsMax }: { readonly model: HistoryModel<State>; readonly lives: readonly Life[]; readonly stepsMax: number },
): KeyVerdict {
  const places = model.places?.(requests);
  if (places !== undefined) {
    const { findings, isUndecided, rungs } = decideLadder(key, places, lives, stepsMax);
    return { findings: [...findings, ...orderOfPlaces(key, rungs)], isUndecided };
  }
  const answered = requests.filter(({ outcome }) => outcome === 'ok');
  const unknown = requests.filter(({ outcome }) => outcome === 'unknown');
  const refused = requests.filter((operation) => operation.outcome === 'not executed' && !model.isRead(operation));
  const loose = relevantOf(model, unknown, answered);
  const question = { answered, refused, stepsMax };
  if (lives.length < 2) return search(key, { ...question, model, loose });
  return search(key, { ...question, model: withLives(model, lives), loose: [...loose, ...deathsOf(key, lives)] });
}

interface Question<State> {
  readonly model: HistoryModel<State>;
  readonly answered: readonly Operation[];
  readonly loose: readonly Operation[];
  readonly refused: readonly Operation[];
  readonly stepsMax: number;
}

function search<State>(key: string, { model, answered, loose, refused, stepsMax }: Question<State>): KeyVerdict {
  const run = (inClientOrder: boolean, maybe: readonly Operation[] = loose): OrderSearchResult =>
    new OrderSearch(model, answered, maybe, { stepsMax, inClientOrder }).run();
  const { decision, farthest } = run(true);
  if (decision !== 'none') return { findings: [], isUndecided: decision === 'undecided' };
  const hasNumbers = answered.some(({ seq }) => seq !== undefined);
  const isOfClients = hasNumbers && run(false).decision === 'found';
  const isDenied = !isOfClients && refused.length > 0 && run(true, [...loose, ...refused]).decision === 'found';
  const operations = leastContradiction(model, answered, loose, { farthest, stepsMax: Math.ceil(stepsMax / 2) });
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
