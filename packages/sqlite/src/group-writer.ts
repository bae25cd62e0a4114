import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { AppendListener, AppendOutcome, Clock, LogAppend } from '@perkey/core';
import { type FileFault, faultOf } from './file-fault.ts';
import { GroupPace } from './group-pace.ts';
import { type Edit, type Group, type GroupAnswer, type GroupFault, type LogName, logNames, packAppends } from './group.ts';
import type { WriterSettings } from './schema.ts';
import { closedError, unavailable } from './store-errors.ts';

/** One transaction holds back all that wait behind it, so it is bounded. */
const groupCountMax = 2_048;
const groupBytesMax = 8 * 2 ** 20;
/** What a waiting append costs besides its body, so that many small ones are bounded as well. */
const overheadBytes = 256;
/** Groups that the thread has or that wait for it there: so that it never waits for this thread, which is busy with the answers to the one before. */
const sentMax = 2;
const closedText = 'the store was closed';

interface WaitingAppend {
  readonly log: number;
  readonly append: LogAppend;
  readonly listener: AppendListener;
}

interface WaitingEdit {
  readonly edit: Edit;
  readonly bytes: number;
  readonly done: (result: number | GroupFault) => void;
}

interface Sent {
  readonly appends: readonly WaitingAppend[];
  readonly edits: readonly WaitingEdit[];
}

/** The far end of a writer: a worker thread. */
export interface WriterThread {
  postMessage(message: Group | 'end', transfer?: readonly ArrayBuffer[]): void;
  on(event: 'message', told: (answer: GroupAnswer) => void): unknown;
  on(event: 'error', told: (error: Error) => void): unknown;
  on(event: 'exit', told: () => void): unknown;
}

export interface WriterParts {
  readonly clock: Clock;
  readonly waitingBytesMax: number;
  readonly events: WriterEvents;
}

export interface WriterEvents {
  /** Records of these logs were committed. */
  onAppended(logs: ReadonlySet<LogName>): void;
  onGroup(answer: GroupAnswer): void;
  /** The writing thread is gone; nothing more will be written. */
  onGone(text: string): void;
}

/**
 * Gathers what is to be written and hands it to the writing thread in groups: all that came in one turn of the event loop, and all that came while
 * the thread was busy. Where that is quicker a large group is handed over at once, also while the thread has another one. Every append is
 * answered once: by the thread, or as `unknown` when the thread went away with it, or as refused when it was never handed over.
 */
export class GroupWriter {
  readonly #thread: WriterThread;
  readonly #clock: Clock;
  readonly #waitingBytesMax: number;
  readonly #events: WriterEvents;
  #appends: WaitingAppend[] = [];
  #edits: WaitingEdit[] = [];
  #waitingBytes = 0;
  /** The oldest first: the thread answers in this order. */
  readonly #sent: Sent[] = [];
  #sentAppends = 0;
  readonly #pace = new GroupPace();
  /** How many appends make a further group. */
  #enough = Infinity;
  #scheduled = false;
  #state: { readonly kind: 'open' } | { readonly kind: 'closing' | 'gone'; readonly text: string } = { kind: 'open' };
  #onIdle: (() => void) | undefined;

  constructor(thread: WriterThread, { clock, waitingBytesMax, events }: WriterParts) {
    this.#thread = thread;
    this.#clock = clock;
    this.#waitingBytesMax = waitingBytesMax;
    this.#events = events;
    thread.on('message', (answer: GroupAnswer) => this.#onAnswer(answer));
    thread.on('error', (error) => this.#onGone(error.message));
    thread.on('exit', () => this.#onGone('the writing thread ended'));
  }

  /** Starts the thread, which opens the file. Gives the id of the file, or what is wrong with it. */
  static async start(
    settings: WriterSettings,
    parts: WriterParts,
  ): Promise<{ readonly writer: GroupWriter; readonly id: string } | { readonly fault: FileFault }> {
    const file = import.meta.url.endsWith('.ts') ? 'writer-thread.ts' : 'writer-thread.js';
    const thread = new Worker(new URL(file, import.meta.url), { workerData: settings, execArgv: [], name: 'perkey-sqlite' });
    try {
      const [first] = (await once(thread, 'message')) as [{ id: string } | { fault: FileFault }];
      if ('fault' in first) return first;
      return { writer: new GroupWriter(thread, parts), id: first.id };
    } catch (error) {
      return { fault: faultOf(error) };
    }
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get #isGone(): boolean {
    return this.#state.kind === 'gone';
  }

  send(log: LogName, append: LogAppend, listener: AppendListener): void {
    const bytes = append.body.length + overheadBytes;
    const refusal = this.#refusal(bytes);
    if (refusal !== undefined) return listener.onOutcome({ kind: 'refused', reason: 'unavailable', text: refusal });
    this.#appends.push({ log: logNames.indexOf(log), append, listener });
    this.#took(bytes);
  }

  /** Rejects with `store.unavailable`. */
  edit(edit: Edit, bytes: number = 0): Promise<number> {
    const cost = bytes + overheadBytes;
    const refusal = this.#refusal(cost);
    if (refusal !== undefined) {
      return Promise.reject(this.#state.kind === 'open' ? unavailable({ reason: 'other', text: refusal }, 'no') : closedError());
    }
    return new Promise((resolve, reject) => {
      const done = (result: number | GroupFault): void => {
        if (typeof result === 'number') resolve(result);
        else reject(unavailable(result, result.certain ? 'no' : 'unknown'));
      };
      this.#edits.push({ edit, bytes: cost, done });
      this.#took(cost);
    });
  }

  /** Answers what is under way, then ends the thread. */
  async close(): Promise<void> {
    if (this.#state.kind !== 'open') return;
    this.#state = { kind: 'closing', text: closedText };
    if (this.#sent.length > 0 || this.#appends.length + this.#edits.length > 0) {
      await new Promise<void>((resolve) => (this.#onIdle = resolve));
    }
    if (this.#isGone) return;
    const ended = new Promise<void>((resolve) => this.#thread.on('exit', resolve));
    this.#thread.postMessage('end');
    await ended;
  }

  #refusal(bytes: number): string | undefined {
    if (this.#state.kind !== 'open') return this.#state.text;
    if (this.#waitingBytes + bytes <= this.#waitingBytesMax) return undefined;
    return `${this.#waitingBytes} bytes wait for the disk, ${this.#waitingBytesMax} may`;
  }

  #took(bytes: number): void {
    this.#waitingBytes += bytes;
    if (this.#pace.came()) this.#pace.made(this.#clock.now());
    if (this.#appends.length >= this.#enough) return this.#send();
    if (this.#sent.length === 0) this.#sendLater();
  }

  /** At the end of this turn, if the thread has nothing by then. */
  #sendLater(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(() => {
      this.#scheduled = false;
      if (this.#sent.length === 0) this.#send();
    });
  }

  #send(): void {
    if (this.#sent.length >= sentMax || this.#state.kind === 'gone' || this.#appends.length + this.#edits.length === 0) return;
    const appends = takeFirst(this.#appends, ({ append }) => append.body.length);
    const edits = takeFirst(this.#edits, ({ bytes }) => bytes);
    this.#sent.push({ appends, edits });
    this.#sentAppends += appends.length;
    const group: Group = { appends: packAppends(appends), edits: edits.map(({ edit }) => edit) };
    this.#thread.postMessage(group, [group.appends.numbers.buffer, group.appends.bodies.buffer]);
  }

  /**
   * The thread gets its next group before those that wait for this answer are told, since what they do then takes a while. Where a force takes
   * longer than that, they are told first, so that one force is for those that wait and for them.
   */
  #onAnswer(answer: GroupAnswer): void {
    const sent = this.#sent.shift();
    if (sent === undefined) return;
    this.#release(sent);
    this.#pace.wrote(sent.appends.length, answer, this.#clock.now());
    this.#enough = this.#pace.enough(this.#sentAppends + this.#appends.length);
    this.#sentAppends -= sent.appends.length;
    if (this.#appends.length >= this.#enough || (this.#sent.length === 0 && this.#enough < Infinity)) this.#send();
    const logs = new Set<LogName>();
    let told = 0;
    for (const { log, listener } of sent.appends) {
      const result = answer.appends[told] as number | GroupFault;
      told += 1;
      if (typeof result === 'number' && result > 0) logs.add(logNames[log] as LogName);
      listener.onOutcome(outcomeOf(result));
    }
    for (const [place, { done }] of sent.edits.entries()) done(answer.edits[place] as number | GroupFault);
    this.#events.onGroup(answer);
    if (logs.size > 0) this.#events.onAppended(logs);
    if (this.#sent.length > 0) return;
    if (this.#appends.length + this.#edits.length > 0) this.#sendLater();
    else this.#onIdle?.();
  }

  #release({ appends, edits }: Sent): void {
    for (const { append } of appends) this.#waitingBytes -= append.body.length + overheadBytes;
    for (const { bytes } of edits) this.#waitingBytes -= bytes;
  }

  #onGone(text: string): void {
    if (this.#state.kind === 'gone') return;
    const closed = this.#state.kind === 'closing' && this.#sent.length === 0;
    const gone = closed ? closedText : `the writing thread is gone: ${text}`;
    this.#state = { kind: 'gone', text: gone };
    const sent = this.#sent.splice(0);
    const [appends, edits] = [this.#appends, this.#edits];
    [this.#appends, this.#edits, this.#waitingBytes] = [[], [], 0];
    for (const { appends: had } of sent) for (const { listener } of had) listener.onOutcome({ kind: 'unknown', text: gone });
    for (const { listener } of appends) listener.onOutcome({ kind: 'refused', reason: 'unavailable', text: gone });
    for (const { edits: had } of sent) for (const { done } of had) done({ reason: 'other', text: gone, certain: false });
    for (const { done } of edits) done({ reason: 'other', text: gone, certain: true });
    if (!closed) this.#events.onGone(gone);
    this.#onIdle?.();
  }
}

/** Takes from the front what fits into one group, and at least one. */
function takeFirst<T>(waiting: T[], bytesOf: (one: T) => number): T[] {
  let count = 0;
  let bytes = 0;
  while (count < waiting.length && count < groupCountMax) {
    bytes += bytesOf(waiting[count] as T);
    if (count > 0 && bytes > groupBytesMax) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

function outcomeOf(result: number | GroupFault): AppendOutcome {
  if (typeof result === 'number') return result === 0 ? { kind: 'conflict' } : { kind: 'appended', sequence: result };
  const { certain, reason, text } = result;
  if (!certain) return { kind: 'unknown', text };
  return { kind: 'refused', reason: reason === 'full' ? 'full' : 'unavailable', text };
}
