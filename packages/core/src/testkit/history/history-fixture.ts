import type { Random } from '../../base/random.ts';
import type { HistoryModel } from './model.ts';
import type { Operation } from './operation.ts';

/** `add`, `read`, ... with what they ask for, drawn for the n-th call of a history. */
export type Asking = (random: Random, n: number) => { readonly op: string; readonly input?: unknown };

/** What an operation answers in the state before it, in the words of its model. */
export type Answering = (
  before: unknown,
  asked: { readonly op: string; readonly input?: unknown },
) => { readonly after: unknown; readonly output?: unknown };

export interface Play {
  readonly ask: Asking;
  readonly answer: Answering;
  readonly initial: unknown;
}

export const counterPlay: Play = {
  ask: (random) => (random.next() < 0.3 ? { op: 'read' } : { op: 'add', input: 1 + Math.floor(random.next() * 2) }),
  answer(before, { op, input }) {
    const after = (before as number) + (op === 'add' ? (input as number) : 0);
    return { after, output: after };
  },
  initial: 0,
};

/** Adds that take away as well, or say nothing: no places. */
export const openCounterPlay: Play = {
  ask: (random) => (random.next() < 0.4 ? { op: 'read' } : { op: 'add', input: Math.floor(random.next() * 4) - 1 }),
  answer(before, { op, input }) {
    const after = (before as number) + (op === 'add' ? (input as number) : 0);
    return op === 'add' && after % 2 === 0 ? { after } : { after, output: after };
  },
  initial: 0,
};

export const registerPlay: Play = {
  ask(random) {
    const value = (): number | null => (random.next() < 0.2 ? null : Math.floor(random.next() * 3));
    const draw = random.next();
    if (draw < 0.4) return { op: 'read' };
    return draw < 0.7 ? { op: 'write', input: value() } : { op: 'cas', input: { expected: value(), to: value() } };
  },
  answer(before, { op, input }) {
    if (op === 'read') return { after: before, output: before };
    if (op === 'write') return { after: input };
    const { expected, to } = input as { expected: unknown; to: unknown };
    return { after: expected === before ? to : before, output: expected === before };
  },
  initial: null,
};

export const listPlay: Play = {
  ask: (random, n) => (random.next() < 0.4 ? { op: 'read' } : { op: 'append', input: `v${n}` }),
  answer(before, { op, input }) {
    const after = op === 'append' ? [...(before as unknown[]), input] : (before as unknown[]);
    return {
      after,
      output: op === 'append' ? after.length : after.length % 2 === 0 ? after : { version: after.length, hash: after.join() },
    };
  },
  initial: [],
};

/** Appends that are told nothing, reads that see the whole list. */
export const silentListPlay: Play = {
  ...listPlay,
  answer(before, { op, input }) {
    if (op === 'read') return { after: before, output: before };
    return { after: [...(before as unknown[]), input] };
  },
};

/** The same value again and again: no places. */
export const repetitiveListPlay: Play = {
  ...listPlay,
  ask: (random, n) => (random.next() < 0.4 ? { op: 'read' } : { op: 'append', input: n % 3 }),
  answer(before, { op, input }) {
    if (op === 'read') return { after: before, output: before };
    const after = [...(before as unknown[]), input];
    return { after, output: after.length };
  },
};

export interface PlayOptions {
  readonly calls: number;
  readonly clients: number;
  /** How many of them are under way at the same time, about. */
  readonly atOnce: number;
  readonly unknown: number;
  readonly refused: number;
  /** How often the state dies. */
  readonly deaths?: number;
}

/** What callers of a system that keeps every promise may have seen: each call is executed at one moment between its start and its end, or later where that is unknown. */
export function played(play: Play, random: Random, options: PlayOptions): Operation[] {
  const { calls, clients, atOnce, unknown, refused, deaths = 0 } = options;
  const span = Math.max(1, Math.ceil((calls * 4) / atOnce));
  const whole = (below: number): number => Math.floor(random.next() * below);
  const drawn = Array.from({ length: calls }, (_, n) => {
    const t0 = whole(span);
    const t1 = t0 + whole(8);
    const draw = random.next();
    const outcome = draw < unknown ? 'unknown' : draw < unknown + refused ? 'not executed' : 'ok';
    const isNever = outcome === 'not executed' || (outcome === 'unknown' && random.next() < 0.5);
    const latest = outcome === 'unknown' ? t1 + 5 : t1;
    const at = isNever ? Infinity : t0 + random.next() * (latest - t0);
    const call = { client: `c${whole(clients)}`, key: 'k', ...play.ask(random, n) };
    return { call, t0, t1, outcome, at } as const;
  });
  const ends = Array.from({ length: deaths }, () => random.next() * span).sort((a, b) => a - b);
  let state = play.initial;
  let life = 0;
  const seen: Operation[] = [];
  for (const { call, t0, t1, outcome, at } of drawn.toSorted((a, b) => a.at - b.at)) {
    if (at === Infinity) {
      seen.push({ ...call, t0, t1, outcome });
      continue;
    }
    const lived = ends.filter((end) => end < at).length;
    if (lived > life) state = play.initial;
    life = lived;
    const { after, output } = play.answer(state, call);
    state = after;
    const answer = { ...(output !== undefined && { output }), ...(deaths > 0 && { life: `life ${life}` }) };
    seen.push(outcome === 'ok' ? { ...call, ...answer, t0, t1, outcome } : { ...call, t0, t1, outcome });
  }
  return seen;
}

interface Taken {
  readonly operation: Operation;
  /** Of the state that it led to. */
  readonly id: string | number;
  /** Of the state, where it was read. */
  readonly hash: string | undefined;
}

/** The same decision with nothing clever about it: tries every order. For a handful of operations. */
export function hasOrder<State>(model: HistoryModel<State>, operations: readonly Operation[]): boolean {
  const possible = operations.filter(({ outcome }) => outcome !== 'not executed');
  const from = (state: State, rest: readonly Operation[], taken: readonly Taken[]): boolean => {
    if (rest.every(({ outcome }) => outcome === 'unknown')) return true;
    return rest.some((operation) => {
      const others = rest.filter((other) => other !== operation);
      if (others.some((other) => other.outcome === 'ok' && (other.t1 < operation.t0 || isSentBefore(other, operation)))) return false;
      if (taken.some((before) => isSentBefore(operation, before.operation))) return false;
      const next = model.step(state, operation);
      if (next === undefined) return false;
      const now = { operation, id: model.idOf(next), hash: model.isRead(operation) ? hashOf(operation) : undefined };
      // Equal states have equal hashes.
      const isOther = ({ id, hash }: Taken): boolean => id === now.id && hash !== undefined && now.hash !== undefined && hash !== now.hash;
      return !taken.some(isOther) && from(next, others, [...taken, now]);
    });
  };
  return from(model.initial, possible, []);
}

function hashOf({ outcome, output }: Operation): string | undefined {
  return outcome === 'ok' ? (output as { hash?: string } | undefined)?.hash : undefined;
}

function isSentBefore(a: Operation, b: Operation): boolean {
  return a.client === b.client && a.seq !== undefined && b.seq !== undefined && a.seq < b.seq;
}

/** One thing made wrong, or at least other than it was. */
export function mutated(operations: readonly Operation[], random: Random): Operation[] {
  const whole = (below: number): number => Math.floor(random.next() * below);
  const index = whole(operations.length);
  const one = operations[index];
  const other = operations[whole(operations.length)];
  if (one === undefined || other === undefined) return [...operations];
  const put = (...changed: Operation[]): Operation[] => operations.toSpliced(index, 1, ...changed);
  switch (whole(7)) {
    case 0:
      return put(
        typeof one.output === 'number' ? { ...one, output: one.output + (random.next() < 0.5 ? 1 : -1) } : { ...one, output: other.output },
      );
    case 1:
      return put();
    case 2:
      return put(one, { ...one, client: 'c-again' });
    case 3:
      return put({ ...one, t0: one.t0 + 9, t1: one.t1 + 9 });
    case 4:
      return put({ ...one, t0: Math.max(0, one.t0 - 9), t1: Math.max(0, one.t1 - 9) });
    case 5:
      return put({ ...one, outcome: one.outcome === 'ok' ? 'not executed' : 'unknown' });
    default:
      return operations.map((operation) => {
        if (operation === one) return { ...one, output: other.output };
        return operation === other ? { ...other, output: one.output } : operation;
      });
  }
}
