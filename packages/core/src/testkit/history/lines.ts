import type { Call, History, LoggedEvent, Operation } from './operation.ts';

type Begun = Call & { readonly t0: number };

export interface HistoryLinesOptions {
  /** More lines are refused. Default 20,000,000. */
  readonly linesMax?: number;
  /** A longer line is refused, in characters. Default 1,000,000. */
  readonly lineLengthMax?: number;
}

/** A line that is not one of a history; `line` counts from 1. */
export class MalformedHistory extends Error {
  readonly line: number;

  constructor(line: number, fault: string) {
    super(`line ${line}: ${fault}`);
    this.name = 'MalformedHistory';
    this.line = line;
  }
}

/** One JSON text for each operation and each event, without line ends. Inputs and outputs must be plain data of JSON. */
export function* historyToLines(history: History): Generator<string, void, undefined> {
  for (const operation of history.operations) yield operationLine(operation);
  for (const event of history.events) yield eventLine(event);
}

/** `n` pairs it with the line of its invocation. An end that never was is `null`. */
export function operationLine(operation: Operation, n?: number): string {
  return JSON.stringify({ is: 'operation', n, ...operation, t1: operation.t1 === Infinity ? null : operation.t1 });
}

export function invokedLine(n: number, call: Begun): string {
  return JSON.stringify({ is: 'invoked', n, ...call });
}

export function eventLine(event: LoggedEvent): string {
  return JSON.stringify({ is: 'event', ...event });
}

/**
 * Reads what `historyToLines` wrote, or the lines that a recorder gave out. Empty lines are passed over. An invocation whose end is missing is an operation
 * of unknown outcome. Throws `MalformedHistory` at the first line that is none.
 */
export function historyFromLines(lines: Iterable<string>, options: HistoryLinesOptions = {}): History {
  const reader = new LineReader(options);
  for (const line of lines) reader.read(line);
  return reader.history();
}

/** The same for lines that arrive bit by bit, such as those of a file that is read as a stream. */
export async function historyFromStream(lines: AsyncIterable<string>, options: HistoryLinesOptions = {}): Promise<History> {
  const reader = new LineReader(options);
  for await (const line of lines) reader.read(line);
  return reader.history();
}

class LineReader {
  readonly #linesMax: number;
  readonly #lineLengthMax: number;
  readonly #operations: Operation[] = [];
  readonly #events: LoggedEvent[] = [];
  readonly #open = new Map<string, Begun>();
  #line = 0;

  constructor({ linesMax = 20_000_000, lineLengthMax = 1_000_000 }: HistoryLinesOptions) {
    this.#linesMax = linesMax;
    this.#lineLengthMax = lineLengthMax;
  }

  read(text: string): void {
    this.#line += 1;
    if (this.#line > this.#linesMax) throw this.#fault(`more than ${this.#linesMax} lines`);
    if (text.length > this.#lineLengthMax) throw this.#fault(`longer than ${this.#lineLengthMax} characters`);
    if (text === '') return;
    const fields = this.#parse(text);
    if (fields['is'] === 'operation') this.#operation(fields);
    else if (fields['is'] === 'invoked') this.#invoked(fields);
    else if (fields['is'] === 'event') this.#events.push(this.#event(fields));
    else throw this.#fault('"is" must be "operation", "invoked" or "event"');
  }

  history(): History {
    const unfinished = [...this.#open.values()].map(unfinishedOf);
    return { operations: [...this.#operations, ...unfinished], events: this.#events };
  }

  #parse(text: string): Readonly<Record<string, unknown>> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#fault('not JSON');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#fault('not an object');
    return value as Record<string, unknown>;
  }

  #operation(fields: Readonly<Record<string, unknown>>): void {
    const call = this.#call(fields);
    const t1 = fields['t1'] === null ? Infinity : this.#number(fields, 't1');
    if (t1 < call.t0) throw this.#fault('"t1" is before "t0"');
    const outcome = fields['outcome'];
    if (outcome !== 'ok' && outcome !== 'not executed' && outcome !== 'unknown')
      throw this.#fault('"outcome" must be "ok", "not executed" or "unknown"');
    if (fields['n'] !== undefined) this.#open.delete(this.#idOf(fields));
    const output = fields['output'];
    this.#operations.push({
      ...call,
      t1,
      outcome,
      ...(output !== undefined && { output }),
      ...this.#texts(fields, ['code', 'by', 'life']),
      ...this.#numbers(fields, ['epoch', 'version']),
    });
  }

  #invoked(fields: Readonly<Record<string, unknown>>): void {
    const call = this.#call(fields);
    const id = this.#idOf(fields);
    const older = this.#open.get(id);
    if (older !== undefined) this.#operations.push(unfinishedOf(older));
    this.#open.set(id, call);
  }

  #event(fields: Readonly<Record<string, unknown>>): LoggedEvent {
    return {
      key: this.#text(fields, 'key'),
      version: this.#number(fields, 'version'),
      ...this.#texts(fields, ['rid', 'by', 'life', 'client']),
      ...this.#numbers(fields, ['epoch', 'at', 'seq']),
    };
  }

  #call(fields: Readonly<Record<string, unknown>>): Begun {
    const input = fields['input'];
    return {
      client: this.#text(fields, 'client'),
      key: this.#text(fields, 'key'),
      op: this.#text(fields, 'op'),
      t0: this.#number(fields, 't0'),
      ...(input !== undefined && { input }),
      ...this.#texts(fields, ['rid']),
      ...this.#numbers(fields, ['seq']),
    };
  }

  #idOf(fields: Readonly<Record<string, unknown>>): string {
    return `${this.#number(fields, 'n')} ${this.#text(fields, 'client')}`;
  }

  #texts<Name extends string>(fields: Readonly<Record<string, unknown>>, names: readonly Name[]): { [N in Name]?: string } {
    const found: { [N in Name]?: string } = {};
    for (const name of names) if (fields[name] !== undefined) found[name] = this.#text(fields, name);
    return found;
  }

  #numbers<Name extends string>(fields: Readonly<Record<string, unknown>>, names: readonly Name[]): { [N in Name]?: number } {
    const found: { [N in Name]?: number } = {};
    for (const name of names) if (fields[name] !== undefined) found[name] = this.#number(fields, name);
    return found;
  }

  #text(fields: Readonly<Record<string, unknown>>, name: string): string {
    const value = fields[name];
    if (typeof value !== 'string') throw this.#fault(`"${name}" must be a text`);
    return value;
  }

  #number(fields: Readonly<Record<string, unknown>>, name: string): number {
    const value = fields[name];
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#fault(`"${name}" must be a number`);
    return value;
  }

  #fault(fault: string): MalformedHistory {
    return new MalformedHistory(this.#line, fault);
  }
}

function unfinishedOf(call: Begun): Operation {
  return { ...call, t1: Infinity, outcome: 'unknown' };
}
