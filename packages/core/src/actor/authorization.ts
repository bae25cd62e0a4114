import { bareError } from '../base/bare-error.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { LogLimiter, safeText } from '../base/log-text.ts';
import type { Logger } from '../base/log.ts';
import { type CallSource, fromAnyone, type Headers, type InboundRequest } from '../contract/calls.ts';
import { cancelled, expired } from './refusals.ts';
import { isThenable } from '../base/thenable.ts';

const lookEveryMs = 50;

/** One request as the authorisation hook of a node sees it: nothing of it was checked but the form of its key. */
export interface CallToAuthorize {
  readonly type: string;
  readonly key: string;
  readonly method: string;
  /** What is proven of the caller. */
  readonly source: CallSource;
  /** What the caller calls itself: a claim, as are the headers. */
  readonly caller: string;
  readonly headers: Headers;
}

/** `true` lets the request through. `false`, or a text that is told to the caller, refuses it, and so does all else, as a fault of the hook. */
export type Authorize = (call: CallToAuthorize) => boolean | string | PromiseLike<boolean | string>;

/** `true`, or why not. */
type Verdict = true | PerkeyError;

interface Waiting {
  readonly shard: number;
  readonly request: InboundRequest;
  /** Monotonic ms. */
  readonly giveUpAt: number;
  verdict: Verdict | undefined;
  /** It went on, or was refused. */
  isOver: boolean;
}

/** The requests for one key from the first one on that waits for its verdict, in their order. */
interface Line {
  waiting: Waiting[];
  /** The place of the first one that waits; those before it are over. */
  from: number;
  isAdvancing: boolean;
}

export interface AuthorizationOptions {
  readonly authorize: Authorize;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timeoutMs: number;
  /** Requests that may wait for verdicts. */
  readonly waitingMax: number;
  readonly slowMs: number;
  /** The hook has run, and took the event loop with it until `now`. */
  readonly onAsked: (now: number) => void;
  /** Goes on with a request that waited for its verdict. */
  readonly admit: (shard: number, request: InboundRequest) => void;
  readonly refuse: (request: InboundRequest, error: PerkeyError) => void;
}

/**
 * Asks the hook for each request, before anything becomes resident for it. Requests for one key go on in the order in which they came,
 * whatever the hook takes for each (I6). A hook that throws, says something else, or says nothing in time, refuses.
 */
export class Authorization {
  readonly #o: AuthorizationOptions;
  readonly #limiter: LogLimiter;
  /** By address. */
  readonly #lines = new Map<string, Line>();
  #size = 0;
  #timer: Timer | undefined;

  constructor(options: AuthorizationOptions) {
    this.#o = options;
    this.#limiter = new LogLimiter(options.clock);
  }

  /** Requests that wait for verdicts. */
  get size(): number {
    return this.#size;
  }

  /** Whether the request may go on at once; else it waits, or was refused. */
  take(shard: number, request: InboundRequest): boolean {
    const { waitingMax } = this.#o;
    if (this.#size >= waitingMax) {
      const text = `the node holds nodeQueueMax = ${waitingMax} requests that wait for the authorisation hook`;
      this.#o.refuse(request, bareError('node.overloaded', text, { retryAfterMs: 100 }));
      return false;
    }
    const said = this.#ask(request);
    const address = this.#size > 0 || isThenable(said) ? `${request.type}/${request.key}` : '';
    const line = this.#lines.get(address);
    if (isThenable(said)) {
      const waiting = this.#wait(address, line, shard, request, undefined);
      said.then(
        (verdict) => this.#settled(address, waiting, () => this.#verdictOf(verdict, request)),
        (thrown: unknown) => this.#settled(address, waiting, () => this.#failed(thrown, request)),
      );
      return false;
    }
    const verdict = this.#verdictOf(said, request);
    if (line !== undefined) this.#wait(address, line, shard, request, verdict);
    else if (verdict === true) return true;
    else this.#o.refuse(request, verdict);
    return false;
  }

  cancel(chosen: (request: InboundRequest) => boolean): void {
    this.#refuse(({ request }) => chosen(request), cancelled);
  }

  /** The shard closes. */
  refuseShard(shard: number, error: PerkeyError): void {
    this.#refuse(
      (waiting) => waiting.shard === shard,
      () => error,
    );
  }

  stop(error: PerkeyError): void {
    this.#refuse(
      () => true,
      () => error,
    );
    this.#timer?.cancel();
  }

  #ask(request: InboundRequest): unknown {
    const { authorize, clock, slowMs, onAsked } = this.#o;
    const { type, key, method, caller, headers, source = fromAnyone } = request;
    const since = clock.now();
    try {
      return authorize({ type, key, method, source, caller, headers });
    } catch (thrown) {
      return this.#failed(thrown, request);
    } finally {
      const now = clock.now();
      onAsked(now);
      if (now - since > slowMs) this.#say(request, { ms: Math.round(now - since) }, 'the authorisation hook held the event loop');
    }
  }

  #verdictOf(said: unknown, request: InboundRequest): Verdict {
    if (said === true || (said instanceof PerkeyError && said.code === 'request.forbidden' && said.executed === 'no')) return said;
    if (said === false) return forbidden('the authorisation hook of the node refused the request');
    if (typeof said === 'string') return forbidden(safeText(said));
    return this.#failed(new TypeError('the authorisation hook said neither true, false nor a text'), request);
  }

  /** What a hook throws is for the log of the node. */
  #failed(thrown: unknown, request: InboundRequest): PerkeyError {
    this.#say(request, { err: thrown instanceof Error ? thrown : { message: safeText(thrown) } }, 'the authorisation hook failed');
    return forbidden('the authorisation hook of the node failed');
  }

  #say({ type, method }: InboundRequest, fields: object, message: string): void {
    const leftOut = this.#limiter.allow(message);
    if (leftOut !== undefined) this.#o.log.error({ type, method: safeText(method), ...fields, leftOut }, message);
  }

  #wait(address: string, line: Line | undefined, shard: number, request: InboundRequest, verdict: Verdict | undefined): Waiting {
    const giveUpAt = Math.min(request.deadline, this.#o.clock.now() + this.#o.timeoutMs);
    const waiting: Waiting = { shard, request, giveUpAt, verdict, isOver: false };
    if (line === undefined) this.#lines.set(address, { waiting: [waiting], from: 0, isAdvancing: false });
    else line.waiting.push(waiting);
    this.#size += 1;
    this.#watch();
    return waiting;
  }

  /** A verdict that comes after its request was given up has no effect. */
  #settled(address: string, waiting: Waiting, verdict: () => Verdict): void {
    const line = this.#lines.get(address);
    if (line === undefined || waiting.verdict !== undefined || waiting.isOver) return;
    waiting.verdict = verdict();
    this.#advance(address, line);
  }

  /** What goes on may bring further requests for the same key before it comes back here: they keep behind those that are decided already. */
  #advance(address: string, line: Line): void {
    if (line.isAdvancing) return;
    line.isAdvancing = true;
    for (; line.from < line.waiting.length; line.from += 1) {
      const waiting = line.waiting[line.from] as Waiting;
      if (waiting.isOver) continue;
      if (waiting.verdict === undefined) break;
      waiting.isOver = true;
      this.#size -= 1;
      this.#goOn(waiting, waiting.verdict);
    }
    line.isAdvancing = false;
    if (line.from < line.waiting.length) {
      if (line.from * 2 > line.waiting.length) this.#compact(line);
    } else if (this.#lines.get(address) === line) this.#lines.delete(address);
  }

  #compact(line: Line): void {
    if (line.isAdvancing) return;
    line.waiting = line.waiting.filter(({ isOver }) => !isOver);
    line.from = 0;
  }

  #goOn({ shard, request }: Waiting, verdict: Verdict): void {
    const { clock, admit, refuse } = this.#o;
    if (verdict !== true) refuse(request, verdict);
    else if (request.deadline <= clock.now()) refuse(request, expired());
    else admit(shard, request);
  }

  #refuse(chosen: (waiting: Waiting) => boolean, error: (waiting: Waiting) => PerkeyError): void {
    for (const [address, line] of [...this.#lines]) {
      const refused = line.waiting.filter((waiting) => !waiting.isOver && chosen(waiting));
      for (const waiting of refused) waiting.isOver = true;
      this.#size -= refused.length;
      for (const waiting of refused) this.#o.refuse(waiting.request, error(waiting));
      if (refused.length === 0) continue;
      this.#compact(line);
      this.#advance(address, line);
    }
  }

  #watch(): void {
    this.#timer ??= this.#o.clock.setTimer(lookEveryMs, () => {
      this.#timer = undefined;
      const now = this.#o.clock.now();
      const silent = (): PerkeyError => forbidden('the authorisation hook of the node did not answer in time');
      this.#refuse(
        ({ giveUpAt, request, verdict }) => (verdict === undefined ? giveUpAt : request.deadline) <= now,
        ({ request }) => (request.deadline <= now ? expired() : silent()),
      );
      if (this.#size > 0) this.#watch();
    });
  }
}

function forbidden(text: string): PerkeyError {
  return bareError('request.forbidden', text);
}
