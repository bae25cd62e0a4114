import type { HistoryModel, HistoryPlaces, PlacedOperation, PlaceFault } from './model.ts';
import type { Operation } from './operation.ts';
import { operationText, valueText } from './text.ts';

/** A list as a text: its values, each with a comma behind it. */
interface List {
  readonly length: number;
  readonly values: string;
}

/**
 * A list, at first empty. `append`: input the value, output the length it led to, as a number or as `version` of an object; or nothing. `read`: output the
 * list, or its length as a number, or `{ version, hash }` where equal lists have equal hashes. Where all values differ and the answers tell enough of their
 * places, a history is decided without a search.
 */
export function appendList(): HistoryModel<List> {
  return {
    name: 'append-list',
    initial: { length: 0, values: '' },
    step(list, operation) {
      const { input, output, outcome } = operation;
      const next = isAppend(operation) ? { length: list.length + 1, values: `${list.values}${valueText(input)},` } : list;
      if (outcome !== 'ok' || output === undefined) return next;
      if (Array.isArray(output)) return listOf(output).values === next.values ? next : undefined;
      return versionOf(operation) === next.length ? next : undefined;
    },
    idOf: ({ values }) => values,
    textOf: ({ values }) => `[${values.slice(0, -1)}]`,
    isRead: (operation) => !isAppend(operation),
    places: (operations) => new Places(operations).all(),
  };
}

function isAppend({ op }: Operation): boolean {
  if (op !== 'append' && op !== 'read')
    throw new TypeError(`an append-list has no operation ${valueText(op, 100)}, only "append" and "read"`);
  return op === 'append';
}

function listOf(values: readonly unknown[]): List {
  return { length: values.length, values: values.map((value) => `${valueText(value)},`).join('') };
}

function versionOf({ output }: Operation): number | undefined {
  if (typeof output === 'number') return output;
  if (Array.isArray(output)) return output.length;
  const version: unknown = typeof output === 'object' && output !== null && 'version' in output ? output.version : undefined;
  return typeof version === 'number' ? version : undefined;
}

/** The places that the answers tell, and what the lists that were read say against them. */
class Places {
  readonly #placed: PlacedOperation[] = [];
  readonly #faults: PlaceFault[] = [];
  readonly #operations: readonly Operation[];
  /** By the text of its value. */
  readonly #appends = new Map<string, Operation>();
  readonly #seenAt = new Map<Operation, number>();
  /** Appends that were answered and not told where they stand. */
  readonly #silent: Operation[] = [];
  /** By life: the highest place that is known, and the length of the longest list. */
  readonly #known = new Map<string | undefined, number>();
  readonly #listed = new Map<string | undefined, number>();

  constructor(operations: readonly Operation[]) {
    this.#operations = operations;
  }

  all(): HistoryPlaces | undefined {
    const reads: Operation[] = [];
    for (const operation of this.#operations) {
      if (isAppend(operation)) {
        const value = valueText(operation.input);
        if (this.#appends.has(value) || Array.isArray(operation.output)) return undefined;
        this.#appends.set(value, operation);
      } else if (operation.outcome === 'ok') reads.push(operation);
      if (operation.outcome !== 'ok') continue;
      const version = versionOf(operation);
      if (version !== undefined) this.#place(operation, isAppend(operation) ? version - 1 : version, version);
      else if (isAppend(operation)) this.#silent.push(operation);
      else if (operation.seq !== undefined) return undefined;
    }
    for (const [life, same] of Map.groupBy(reads, (read) => read.life)) this.#look(life, same);
    if (!this.#placeSilent()) return undefined;
    const unseen = this.#operations.filter((operation) => isAppend(operation) && !this.#seenAt.has(operation));
    const ended = (outcome: Operation['outcome']): HistoryPlaces['loose'] =>
      unseen.filter((operation) => operation.outcome === outcome).map((operation) => ({ operation, size: 1 }));
    return { placed: this.#placed, loose: ended('unknown'), refused: ended('not executed'), faults: this.#faults };
  }

  #place(operation: Operation, low: number, high: number, life: string | undefined = operation.life): void {
    this.#placed.push({ operation, low, high, life });
    this.#known.set(life, Math.max(high, this.#known.get(life) ?? 0));
  }

  /**
   * Those that nobody saw stand behind everything known, in the order of their starts, which is as good as any. False where not all before them is known: then
   * one of them may belong in between.
   */
  #placeSilent(): boolean {
    for (const [life, same] of Map.groupBy(this.#silent, (append) => append.life)) {
      const unseen = same.filter((append) => !this.#seenAt.has(append)).sort((a, b) => a.t0 - b.t0);
      const known = this.#known.get(life) ?? 0;
      if (unseen.length > 0 && known > (this.#listed.get(life) ?? 0)) return false;
      unseen.forEach((append, i) => this.#place(append, known + i, known + i + 1));
    }
    return true;
  }

  /** At the reads of one life. */
  #look(life: string | undefined, reads: readonly Operation[]): void {
    this.#compareHashes(reads);
    const lists = reads.filter(({ output }) => Array.isArray(output));
    const first = lists[0];
    if (first === undefined) return;
    const longest = lists.reduce((a, b) => (valuesOf(b).length > valuesOf(a).length ? b : a), first);
    for (const read of lists) {
      const at = valuesOf(read).findIndex((value, i) => !isSame(value, valuesOf(longest)[i]));
      if (at !== -1)
        this.#fault('linearizable', `two reads differ at place ${at + 1}, and nothing is ever taken out of a list`, [read, longest]);
    }
    this.#listed.set(life, valuesOf(longest).length);
    valuesOf(longest).forEach((value, i) => this.#own(life, value, i + 1, longest));
  }

  /** Finds the append that put the value there. */
  #own(life: string | undefined, value: unknown, place: number, read: Operation): void {
    const append = this.#appends.get(valueText(value));
    const shown = `${valueText(value, 100)} was seen at place ${place}`;
    if (append === undefined) return this.#fault('linearizable', `${shown}, and nobody appended it`, [read]);
    if (append.outcome === 'not executed')
      return this.#fault('honest outcome', `${shown}, and its caller was told that it was not executed`, [append, read]);
    const seenAt = this.#seenAt.get(append);
    if (seenAt !== undefined)
      return this.#fault('nothing doubled', `${shown} and at place ${seenAt}, and was appended once`, [append, read]);
    this.#seenAt.set(append, place);
    const told = append.outcome === 'ok' ? versionOf(append) : undefined;
    const isElsewhere = append.outcome === 'ok' && append.life !== life;
    if (isElsewhere || (told !== undefined && told !== place))
      this.#fault('linearizable', `${shown}, and its caller was told another place: ${operationText(append)}`, [append, read]);
    else if (told === undefined) this.#place(append, place - 1, place, life);
  }

  #compareHashes(reads: readonly Operation[]): void {
    const known = new Map<number, { readonly hash: unknown; readonly read: Operation }>();
    for (const read of reads) {
      const { output } = read;
      const version = versionOf(read);
      if (version === undefined || typeof output !== 'object' || output === null || !('hash' in output)) continue;
      const before = known.get(version);
      if (before === undefined) known.set(version, { hash: output.hash, read });
      else if (!isSame(before.hash, output.hash))
        this.#fault('linearizable', `two reads of version ${version} saw different lists`, [before.read, read]);
    }
  }

  #fault(rule: PlaceFault['rule'], text: string, operations: readonly Operation[]): void {
    this.#faults.push({ rule, text, operations });
  }
}

function valuesOf({ output }: Operation): readonly unknown[] {
  return output as readonly unknown[];
}

function isSame(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && valueText(a) === valueText(b));
}
