import type { PerkeyError } from '../base/errors.ts';
import { type CallOptions, type CallSource, fromNode, type InboundRequest, noChain, noHeaders, type ReplyPort } from '../contract/calls.ts';
import { inDoubt } from './in-doubt.ts';
import type { RequestSeries } from './request-metrics.ts';
import type { Target } from './routes.ts';

/** One call of a caller, from `request` to its single outcome; it may take several attempts. */
export class Pending {
  readonly type: string;
  readonly method: string;
  readonly key: string;
  readonly options: CallOptions;
  readonly startedAt: number;
  readonly series: RequestSeries;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: PerkeyError) => void;
  /** Order of the calls of this caller. */
  readonly seq: number;
  deadline = 0;
  /** The actors in whose turns the call was made, the outermost first. */
  madeIn: readonly string[] = noChain;
  /** -1: not known yet. */
  shard = -1;
  /** The call in its wire form, made once; another attempt sends the same bytes. */
  tail: Uint8Array | undefined;
  /** The call's own copy of the input, for a call that began on this very node. */
  input: unknown;
  /** Number of the attempt under way, on the wire and for a local host; 0 while the call is held back. */
  id = 0;
  attempts = 0;
  /** Place in the target's lane; tells whether the attempt was already handed to the connection. */
  ordinal = 0;
  target: Target | undefined;
  epoch = 0;
  /** The flag of the last attempt (see `markOf`); 0: none. */
  mark = 0;
  /** An earlier attempt may have been executed. */
  doubt = false;
  refusal: PerkeyError | undefined;
  settled = false;
  /** Its attempt began, or is about to begin, at a gate. */
  hasWaited = false;
  /** Settled, while its attempt goes on. */
  isLeftBehind = false;
  stopListening: (() => void) | undefined;

  constructor(
    type: string,
    method: string,
    key: string,
    options: CallOptions,
    startedAt: number,
    seq: number,
    series: RequestSeries,
    resolve: (value: unknown) => void,
    reject: (error: PerkeyError) => void,
  ) {
    this.type = type;
    this.method = method;
    this.key = key;
    this.options = options;
    this.startedAt = startedAt;
    this.seq = seq;
    this.series = series;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Made by the same actor to the same one. */
  isBySame({ type, key, madeIn }: Pending): boolean {
    return this.key === key && this.type === type && this.madeIn.at(-1) === madeIn.at(-1);
  }

  /** Calls `abort` when the signal aborts before the call has settled, at once if it has aborted already. */
  listen(signal: AbortSignal, abort: () => void): void {
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    this.stopListening = () => signal.removeEventListener('abort', abort);
  }

  succeed(value: unknown, now: number): void {
    this.#settled(now);
    this.series.ok.inc();
    this.resolve(value);
  }

  fail(error: PerkeyError, now: number): void {
    this.#settled(now);
    this.series.outcome(error.code).inc();
    this.reject(this.doubt && error.executed === 'no' ? inDoubt(error) : error);
  }

  #settled(now: number): void {
    this.settled = true;
    this.stopListening?.();
    this.series.duration.observe((now - this.startedAt) / 1000);
  }

  /** The attempt under way as a host on this very node takes it. */
  inbound(caller: string, reply: ReplyPort): InboundRequest {
    const { id, type, method, key, input, deadline, options } = this;
    const { headers = noHeaders, chain = noChain, idempotencyKey, onBehalfOf } = options;
    const source: CallSource = onBehalfOf === undefined ? fromNode : { origin: 'json', principal: onBehalfOf };
    return { id, type, method, key, input, headers, chain, idempotencyKey, caller, source, deadline, reply };
  }

  /** I11: whether any attempt can reach a handler, or could. One that waits in a frame for the end of this turn still can. */
  get mayHaveRun(): boolean {
    return this.doubt || this.id !== 0;
  }

  /** Whether sending again after an unknown outcome does no harm. */
  get mayRepeat(): boolean {
    return this.options.idempotent === true || this.options.idempotencyKey !== undefined;
  }
}
