import type { HistoryModel, HistoryPlaces, PlacedOperation } from './model.ts';
import type { Operation } from './operation.ts';
import { operationText, valueText } from './text.ts';

/**
 * A number that starts at 0. `add`: input what is added (default 1), output the new value. `read`: output the value. Where everything that is added is a
 * positive whole number and every answer says its value, the values are a total order, and a history is decided without a search.
 */
export function counter(): HistoryModel<number> {
  return {
    name: 'counter',
    initial: 0,
    step(value, operation) {
      const next = isAdd(operation) ? value + amountOf(operation) : value;
      return isToldOtherThan(next, operation) ? undefined : next;
    },
    idOf: (value) => value,
    textOf: String,
    isRead: (operation) => !isAdd(operation),
    places,
  };
}

function isAdd({ op }: Operation): boolean {
  if (op !== 'add' && op !== 'read') throw new TypeError(`a counter has no operation ${valueText(op, 100)}, only "add" and "read"`);
  return op === 'add';
}

function amountOf(operation: Operation): number {
  const { input = 1 } = operation;
  if (typeof input !== 'number' || !Number.isSafeInteger(input))
    throw new TypeError(`the input of an "add" is a whole number: ${operationText(operation)}`);
  return input;
}

function isToldOtherThan(value: number, { outcome, output }: Operation): boolean {
  return outcome === 'ok' && output !== undefined && output !== value;
}

function places(operations: readonly Operation[]): HistoryPlaces | undefined {
  const placed: PlacedOperation[] = [];
  const loose: { operation: Operation; size: number }[] = [];
  const refused: typeof loose = [];
  for (const operation of operations) {
    const { outcome, output } = operation;
    const size = isAdd(operation) ? amountOf(operation) : 0;
    if (isAdd(operation) && size <= 0) return undefined;
    if (outcome !== 'ok' && size > 0) (outcome === 'unknown' ? loose : refused).push({ operation, size });
    if (outcome !== 'ok') continue;
    if (typeof output === 'number') placed.push({ operation, low: output - size, high: output });
    else if (size > 0 || operation.seq !== undefined) return undefined;
  }
  return { placed, loose, refused, faults: [] };
}
