import type { HistoryModel, RelevantOperations } from './model.ts';
import type { Operation } from './operation.ts';
import { operationText, valueText } from './text.ts';

/**
 * A value, at first `null`. `write`: input the value. `read`: output the value. `cas`: input `{ expected, to }`, output whether `expected` was found and
 * `to` written. Values are plain data and compared by what they say.
 */
export function register(): HistoryModel<string> {
  return {
    name: 'register',
    initial: valueText(null),
    step(value, operation) {
      const { op, input, output, outcome } = operation;
      const isTold = outcome === 'ok' && output !== undefined;
      if (op === 'read') return isTold && valueText(output) !== value ? undefined : value;
      if (op === 'write') return valueText(input);
      const { expected, to } = comparison(operation);
      const isFound = expected === value;
      if (isTold && output !== isFound) return undefined;
      return isFound ? to : value;
    },
    idOf: (value) => value,
    textOf: (value) => value,
    isRead: ({ op, outcome, output }) => op === 'read' || (op === 'cas' && outcome === 'ok' && output === false),
    relevant,
    passage,
  };
}

interface Comparison {
  readonly expected: string;
  readonly to: string;
}

function comparison(operation: Operation): Comparison {
  const { op, input } = operation;
  if (op !== 'cas') throw new TypeError(`a register has no operation ${valueText(op, 100)}, only "read", "write" and "cas"`);
  if (typeof input !== 'object' || input === null || !('expected' in input) || !('to' in input))
    throw new TypeError(`the input of a "cas" is { expected, to }: ${operationText(operation)}`);
  return { expected: valueText(input.expected), to: valueText(input.to) };
}

function passage(operation: Operation): { readonly finds?: string; readonly makes?: string } {
  const { op, outcome, output } = operation;
  const isTold = outcome === 'ok' && output !== undefined;
  if (op === 'read') return isTold ? { finds: valueText(output) } : {};
  if (op === 'write') return { makes: valueText(operation.input) };
  if (isTold && output !== true) return {};
  const { expected, to } = comparison(operation);
  return isTold ? { finds: expected, makes: to } : { makes: to };
}

/**
 * A write that nobody can have seen may be left out, since whatever was executed on its value was a write over it. Seen it can be by a read and by a
 * comparison with its value that was seen in turn; and any comparison that failed may have failed because of it.
 */
function relevant(unknown: readonly Operation[], answered: readonly Operation[]): RelevantOperations {
  const values = new Set<string>();
  let hasFailed = false;
  for (const operation of answered) {
    if (operation.op === 'read') values.add(valueText(operation.output));
    else if (operation.op === 'cas') {
      values.add(comparison(operation).expected);
      if (operation.output !== true) hasFailed = true;
    }
  }
  const writes = unknown.filter(({ op }) => op !== 'read').map((operation) => ({ operation, ...effectOf(operation) }));
  for (let count = -1; count < values.size;) {
    count = values.size;
    for (const { expected, to } of writes) if (expected !== undefined && values.has(to)) values.add(expected);
  }
  const all = writes.map(({ operation }) => operation);
  const seen = writes.filter(({ to }) => values.has(to)).map(({ operation }) => operation);
  return { seen, difference: hasFailed ? all : seen };
}

function effectOf(operation: Operation): { readonly expected: string | undefined; readonly to: string } {
  return operation.op === 'write' ? { expected: undefined, to: valueText(operation.input) } : comparison(operation);
}
