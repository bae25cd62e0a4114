import { type HistoryModel, relevantOf } from './model.ts';
import type { Operation } from './operation.ts';
import { operationText } from './text.ts';

/** One life of the state of a key, as far as its answers tell. */
export interface Life {
  readonly name: string;
  /** It was there before this. */
  readonly firstEnd: number;
  /** It was still there after this. */
  readonly lastStart: number;
  /** The lowest that it was seen under; -1 where none was told. */
  readonly epoch: number;
}

/**
 * The lives of one key in their order; none where the answers do not tell. All of one life comes before all of the next, so `a` can be before `b` unless
 * something of `b` ended before something of `a` began. Of two lives of one epoch the one with the smaller sum of `firstEnd` and `lastStart` is the one that can
 * be first, if either can.
 */
export function livesOf(operations: readonly Operation[]): readonly Life[] {
  const lives = new Map<string, { -readonly [Name in keyof Life]: Life[Name] }>();
  let silent: Operation | undefined;
  for (const operation of operations) {
    if (operation.outcome !== 'ok') continue;
    const { life: name, t0, t1, epoch = -1 } = operation;
    if (name === undefined) {
      silent = operation;
      continue;
    }
    const life = lives.get(name);
    if (life === undefined) {
      lives.set(name, { name, firstEnd: t1, lastStart: t0, epoch });
      continue;
    }
    if (t1 < life.firstEnd) life.firstEnd = t1;
    if (t0 > life.lastStart) life.lastStart = t0;
    if (epoch < life.epoch) life.epoch = epoch;
  }
  if (lives.size > 0 && silent !== undefined)
    throw new TypeError(`other answers of this key tell their life, this one does not: ${operationText(silent)}`);
  return [...lives.values()].sort((a, b) => a.epoch - b.epoch || a.firstEnd + a.lastStart - (b.firstEnd + b.lastStart));
}

const ordersMax = 24;

/**
 * Every order that epochs and times leave open, the likeliest first. At most 24: `isAll` says whether there are no others.
 */
export function ordersOf(lives: readonly Life[]): { readonly orders: readonly (readonly Life[])[]; readonly isAll: boolean } {
  const orders: Life[][] = [];
  const extend = (order: readonly Life[], rest: readonly Life[]): void => {
    if (orders.length > ordersMax) return;
    if (rest.length === 0) orders.push([...order]);
    for (const life of rest) {
      const others = rest.filter((other) => other !== life);
      if (!others.some((other) => mustPrecede(other, life))) extend([...order, life], others);
    }
  };
  extend([], lives);
  if (orders.length === 0) orders.push([...lives]);
  return { orders: orders.slice(0, ordersMax), isAll: orders.length <= ordersMax };
}

function mustPrecede(a: Life, b: Life): boolean {
  return a.epoch === b.epoch ? a.firstEnd < b.lastStart : a.epoch < b.epoch;
}

interface Living<State> {
  readonly life: number;
  readonly state: State;
}

const death = '(the state died)';

/** The same model, with a state that may die: each operation of `deathsOf` begins the next of the lives anew. */
export function withLives<State>(model: HistoryModel<State>, lives: readonly Life[]): HistoryModel<Living<State>> {
  return {
    name: model.name,
    initial: { life: 0, state: model.initial },
    step(living, operation) {
      if (operation.op === death) return living.life + 1 < lives.length ? { life: living.life + 1, state: model.initial } : undefined;
      if (operation.life !== undefined && operation.life !== lives[living.life]?.name) return undefined;
      const state = model.step(living.state, operation);
      return state === undefined ? undefined : { life: living.life, state };
    },
    idOf: ({ life, state }) => `${life} ${model.idOf(state)}`,
    textOf: ({ life, state }) => `${model.textOf(state)} of life ${lives[life]?.name}`,
    isRead: (operation) => operation.op !== death && model.isRead(operation),
    relevant(unknown, answered) {
      const deaths = unknown.filter(({ op }) => op === death);
      const { seen, difference } = relevantOf(
        model,
        unknown.filter(({ op }) => op !== death),
        answered,
      );
      return { seen: [...deaths, ...seen], difference: [...deaths, ...difference] };
    },
  };
}

/** One operation for each life but the first, which may be executed at any time. */
export function deathsOf(key: string, lives: readonly Life[]): Operation[] {
  return lives.slice(1).map(() => ({ client: '', key, op: death, t0: -Infinity, t1: Infinity, outcome: 'unknown' }));
}
