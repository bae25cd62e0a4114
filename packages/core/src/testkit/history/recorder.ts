import type { Clock } from '../../base/clock.ts';
import { PerkeyError } from '../../base/errors.ts';
import { eventLine, invokedLine, operationLine } from './lines.ts';
import type { Answer, Call, History, LoggedEvent, Operation, OutcomeKind } from './operation.ts';

export interface HistoryRecorderOptions {
  /** The clock of the whole history: the virtual one of a simulation, or one that all processes of a machine share. */
  readonly clock: Pick<Clock, 'now'>;
  /** How many operations and events are kept at most; one more is refused by an error. Default 10,000,000. */
  readonly entriesMax?: number;
  /**
   * Gets each line as it comes to be, also one for each invocation, so that a process that is killed leaves behind what it had asked for.
   * `historyFromLines` reads them.
   */
  readonly onLine?: (line: string) => void;
}

/** A call under way. It ends once; a second end is an error. */
export interface OpenCall {
  ok(answer?: Answer): void;
  /** Certainly never executed. */
  notExecuted(code?: string): void;
  unknown(code?: string): void;
  /**
   * What an error means: `executed: 'no'` is `not executed`, everything else `unknown`. That holds for `'yes'` too: the handler ran, and what it had
   * changed before it failed only a model could say.
   */
  failed(error: unknown): void;
}

/** Writes down what clients ask for and what they are told. It sees each call from outside and changes nothing about it. */
export class HistoryRecorder implements History {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #entriesMax: number;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #ended: Operation[] = [];
  readonly #events: LoggedEvent[] = [];
  readonly #open = new Map<number, Call & { readonly t0: number; t1?: number; outcome?: OutcomeKind }>();
  #calls = 0;

  constructor({ clock, entriesMax = 10_000_000, onLine }: HistoryRecorderOptions) {
    this.#clock = clock;
    this.#entriesMax = entriesMax;
    this.#onLine = onLine;
  }

  /** Those that have ended, in the order of their ends, and after them those under way, as `unknown` and without an end. */
  get operations(): readonly Operation[] {
    const open: Operation[] = [];
    for (const call of this.#open.values()) open.push({ ...call, t1: Infinity, outcome: 'unknown' });
    return open.length === 0 ? this.#ended : [...this.#ended, ...open];
  }

  get events(): readonly LoggedEvent[] {
    return this.#events;
  }

  /** How many calls are under way. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Must come before anything of the call leaves the client. */
  invoke(call: Call): OpenCall {
    this.#makeRoom();
    this.#calls += 1;
    const n = this.#calls;
    const begun = { ...call, t0: this.#clock.now() };
    this.#open.set(n, begun);
    this.#onLine?.(invokedLine(n, begun));
    const end = (outcome: OutcomeKind, more: Answer & { readonly code?: string }): void => this.#end(n, outcome, more);
    return {
      ok: (answer = {}) => end('ok', answer),
      notExecuted: (code) => end('not executed', code === undefined ? {} : { code }),
      unknown: (code) => end('unknown', code === undefined ? {} : { code }),
      failed: (error) => {
        if (error instanceof PerkeyError) end(error.executed === 'no' ? 'not executed' : 'unknown', { code: error.code });
        else end('unknown', { code: error instanceof Error ? error.name : typeof error });
      },
    };
  }

  /** Records `run` as the call, gives back what it gives, and throws what it throws. `answerOf` says what a result tells; default: it is the output. */
  async run<Result>(call: Call, run: () => Promise<Result>, answerOf: (result: Result) => Answer = asOutput): Promise<Result> {
    const open = this.invoke(call);
    let result: Result;
    try {
      result = await run();
    } catch (error) {
      open.failed(error);
      throw error;
    }
    open.ok(answerOf(result));
    return result;
  }

  /** For the side that executes: call it where the effect happens, before anybody can be told. */
  log(event: LoggedEvent): void {
    this.#makeRoom();
    this.#events.push(event);
    this.#onLine?.(eventLine(event));
  }

  #makeRoom(): void {
    if (this.#ended.length + this.#open.size + this.#events.length >= this.#entriesMax)
      throw new Error(`the history is full: it holds ${this.#entriesMax} operations and events`);
  }

  #end(n: number, outcome: OutcomeKind, more: Answer & { readonly code?: string }): void {
    const call = this.#open.get(n);
    if (call === undefined) throw new Error('this call has ended before');
    this.#open.delete(n);
    call.t1 = this.#clock.now();
    call.outcome = outcome;
    const operation = Object.assign(call, more) as Operation;
    this.#ended.push(operation);
    this.#onLine?.(operationLine(operation, n));
  }
}

const asOutput = (output: unknown): Answer => ({ output });
