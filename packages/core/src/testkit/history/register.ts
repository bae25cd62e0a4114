import type { HistoryModel } from './model.ts';
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
    isRead: ({ op }) => op === 'read',
    relevant,
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

/**
 * A write that nobody can have seen may be left out, since whatever was executed on its value was a write over it. Seen it can be by a read, by a
 * comparison with its value, and by any comparison that failed.
 */
function relevant(unknown: readonly Operation[], answered: readonly Operation[]): readonly Operation[] {
  const seen = new Set<string>();
  for (const operation of answered) {
    if (operation.op === 'read') seen.add(valueText(operation.output));
    else if (operation.op === 'cas') {
      if (operation.output !== true) return unknown.filter(({ op }) => op !== 'read');
      seen.add(comparison(operation).expected);
    }
  }
  for (const operation of unknown) if (operation.op === 'cas') seen.add(comparison(operation).expected);
  return unknown.filter((operation) => {
    if (operation.op === 'read') return false;
    return seen.has(operation.op === 'write' ? valueText(operation.input) : comparison(operation).to);
  });
}
