import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type ActorContract, type ActorDefinition, defineActor } from '../../../actor/definition.ts';
import type { SimulatedNode } from '../simulated-node.ts';
import type { Ledger, TurnAccount } from './ledger.ts';
import type { Marks } from './marks.ts';

export interface CellInput {
  readonly rid: string;
  readonly op: string;
  readonly value?: unknown;
}

/** What every answer tells beside its output. */
export interface CellOutput {
  readonly output: unknown;
  readonly life: string;
  readonly version: number;
  readonly epoch: number;
  readonly by: string;
}

interface CellState {
  /** Names this life of the state. */
  readonly life: string;
  /** Counts the effects of this life. */
  version: number;
  value: unknown;
}

/** Takes everything as it is: what is simulated is not the check of inputs. */
function anything<T>(): StandardSchemaV1<T, T> {
  return { '~standard': { version: 1, vendor: 'perkey', validate: (value) => ({ value: value as T }) } };
}

interface Method<Input, Output> {
  readonly input: StandardSchemaV1<Input, Input>;
  readonly output: StandardSchemaV1<Output, Output>;
}

type CellMethods = {
  readonly change: Method<CellInput, CellOutput>;
  /** May be sent again by the runtime. */
  readonly look: Method<CellInput, CellOutput> & { readonly readonly: true };
};

export type CellContract = ActorContract<CellMethods, {}>;

interface RelayInput {
  readonly path: readonly string[];
  readonly takesMs: number;
}

const cell: Method<CellInput, CellOutput> = { input: anything(), output: anything() };

export const cellMethods: CellMethods = { change: cell, look: { ...cell, readonly: true } };

export const CounterCell: CellContract = defineActor('counter', cellMethods);
export const RegisterCell: CellContract = defineActor('register', cellMethods);
export const ListCell: CellContract = defineActor('list', cellMethods);
export const Relay: ActorContract<{ readonly pass: Method<RelayInput, number> }, {}> = defineActor('relay', {
  pass: { input: anything<RelayInput>(), output: anything<number>() },
});

/** What an operation does to a value: the value after it, and what is told. */
type Step = (value: unknown, input: CellInput) => { readonly value: unknown; readonly output: unknown };

const steps: Readonly<Record<string, Step>> = {
  add: (value) => ({ value: (value as number) + 1, output: (value as number) + 1 }),
  write: (_, { value }) => ({ value, output: null }),
  cas: (value, { value: wanted }) => {
    const { expected, to } = wanted as { readonly expected: unknown; readonly to: unknown };
    const isFound = value === expected;
    return { value: isFound ? to : value, output: isFound };
  },
  append: (value, { value: added }) => {
    const list = [...(value as unknown[]), added];
    return { value: list, output: list.length };
  },
  read: (value) => ({ value, output: value }),
};

/** The actors of the workload, as one node hosts them. */
export function cellActors(node: SimulatedNode, ledger: Ledger, marks: Marks): readonly ActorDefinition[] {
  return [
    hostCell(CounterCell, node, ledger, marks, () => 0),
    hostCell(RegisterCell, node, ledger, marks, () => null),
    hostCell(ListCell, node, ledger, marks, () => []),
    Relay.host({
      state: () => null,
      async pass(ctx, { path, takesMs }) {
        if (takesMs > 0) await node.sleep(takesMs);
        const [next, ...rest] = path;
        return next === undefined ? 1 : 1 + (await ctx.actor(Relay, next).pass({ path: rest, takesMs }));
      },
    }),
  ];
}

interface CellContext {
  readonly key: string;
  readonly epoch: number;
  state: CellState;
}

function hostCell(contract: CellContract, node: SimulatedNode, ledger: Ledger, marks: Marks, first: () => unknown): ActorDefinition {
  const turn = (ctx: CellContext, input: CellInput): CellOutput | Promise<CellOutput> => {
    const { key, epoch } = ctx;
    const mark = marks.of(input.rid);
    const account = ledger.turnStarts({ node, type: contract.type, key, epoch, mark });
    const { takesMs, effectFirst } = mark;
    if (takesMs === 0) return effect(ctx, input, account);
    if (!effectFirst) return node.sleep(takesMs).then(() => effect(ctx, input, account));
    const told = effect(ctx, input, account);
    return node.sleep(takesMs).then(() => told);
  };
  return contract.host<CellState>({
    state: (key) => ({ life: ledger.newLife(node, contract.type, key), version: 0, value: first() }),
    // An activation that takes its time: two first requests must not make two of it.
    onActivate: (_, origin) => (origin === 'new' ? node.sleep(1) : undefined),
    change: turn,
    look: turn,
  });
}

function effect(ctx: CellContext, input: CellInput, account: TurnAccount): CellOutput {
  const { state } = ctx;
  const isRead = input.op === 'read';
  const { value, output } = (steps[input.op] as Step)(state.value, input);
  state.value = value;
  if (!isRead) state.version += 1;
  const { life, version } = state;
  account.effect(life, version, isRead);
  return { output, life, version, epoch: ctx.epoch, by: account.incarnation };
}
