import type { Clock, Timer } from '../base/clock.ts';
import { decode } from '../base/codec.ts';
import { PerkeyError, retryRule } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import { copyPlain } from '../base/plain.ts';
import { type Caller, type CallOptions, type InboundRequest, noChain, noHeaders } from '../contract/calls.ts';
import type { DataLink } from '../contract/transport.ts';
import { requestPrefixBytes, RequestTailEncoder } from './envelope.ts';
import { frameHeaderBytes, frameKind } from './frame.ts';
import { FrameBatcher } from './frame-batcher.ts';
import { Gate } from './gate.ts';
import { Pending } from './pending.ts';
import type { RequestMetrics } from './request-metrics.ts';
import type { Routes, Target } from './routes.ts';
import { type Lane, SentFrames } from './sent-frames.ts';

/** Ids on the wire are reused only after this many attempts; a call outlives far fewer. */
const idCount = 2 ** 30;
const noOptions: CallOptions = Object.freeze({});

export interface RouterSettings {
  readonly requestTimeoutMs: number;
  readonly inFlightMax: number;
  readonly payloadBytesMax: number;
  readonly frameCountMax: number;
}

export interface RouterOptions {
  readonly clock: Clock;
  readonly settings: RouterSettings;
  readonly metrics: RequestMetrics;
  /** Who calls, for binding idempotency keys. */
  readonly callerName: string;
  readonly link: DataLink;
  readonly routes: Routes;
  /** The actors of this very node, where the caller is one. */
  readonly local: { admit(shard: number, request: InboundRequest): void } | undefined;
  /** Calls wait for news of who owns what. Called often while they do. */
  readonly wantNews: () => void;
}

/**
 * Sends each call to the node that owns its key's shard, and again where that is safe, until its one outcome.
 *
 * Invariants:
 * - I11: a call is refused as not executed only if none of its attempts can have reached a handler. Each attempt has an id of its own, so
 *   that a late answer to a former attempt is never taken for the answer to a later one.
 * - I6: calls of this caller to one key are executed in the order in which they were made (see `Gate`).
 */
export class Router implements Caller {
  readonly #o: RouterOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #gates = new Map<number, Gate>();
  /** Calls made before the number of shards was known. */
  #unrouted: Pending[] = [];
  #inFlight: Uint32Array = new Uint32Array(0);
  readonly #batcher: FrameBatcher;
  readonly #tails: RequestTailEncoder;
  readonly #sent = new SentFrames();
  readonly #lanes = new Map<string, Lane>();
  #lastId = 0;
  #lastSeq = 0;
  #held = 0;
  #earliestDeadline = Number.POSITIVE_INFINITY;
  #deadlineTimer: Timer | undefined;
  #gateTimer: Timer | undefined;
  #closed = false;

  constructor(options: RouterOptions) {
    this.#o = options;
    const { clock, link, settings } = options;
    this.#tails = new RequestTailEncoder(Math.min(settings.payloadBytesMax, link.frameBytesMax - requestPrefixBytes - frameHeaderBytes));
    this.#batcher = new FrameBatcher({
      kind: frameKind.request,
      clock,
      frameBytesMax: link.frameBytesMax,
      frameCountMax: settings.frameCountMax,
      send: (to, frame, count) => this.#sendFrame(to, frame, count),
    });
  }

  get inFlight(): number {
    return this.#pending.size + this.#held;
  }

  request(type: string, method: string, key: string, input: unknown, options: CallOptions = noOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#start({ type, method, key, options }, input, resolve, reject);
    });
  }

  notify(type: string, method: string, key: string, input: unknown, options: CallOptions = noOptions): void {
    const { clock, metrics } = this.#o;
    const ignore = (): void => {};
    const failed = (error: PerkeyError): void => {
      if (error.executed === 'no') metrics.notifiesLost.inc();
    };
    const oneWay = { ...options, chain: undefined, deadline: undefined, signal: undefined };
    const pending = this.#pendingFor({ type, method, key, options: oneWay }, clock.now(), ignore, failed);
    this.#take(pending, input);
  }

  #start(
    call: { readonly type: string; readonly method: string; readonly key: string; readonly options: CallOptions },
    input: unknown,
    resolve: (value: unknown) => void,
    reject: (error: PerkeyError) => void,
  ): void {
    const pending = this.#pendingFor(call, this.#o.clock.now(), resolve, reject);
    try {
      this.#take(pending, input);
    } catch (error) {
      this.#reject(
        pending,
        error instanceof PerkeyError ? error : new PerkeyError('payload.not_plain', 'the input cannot travel', { cause: error }),
      );
    }
  }

  #pendingFor(
    call: { readonly type: string; readonly method: string; readonly key: string; readonly options: CallOptions },
    now: number,
    resolve: (value: unknown) => void,
    reject: (error: PerkeyError) => void,
  ): Pending {
    const { settings, metrics } = this.#o;
    this.#lastSeq += 1;
    const deadline = Math.min(
      now + (call.options.timeoutMs ?? settings.requestTimeoutMs),
      call.options.deadline ?? Number.POSITIVE_INFINITY,
    );
    const times = { startedAt: now, deadline, seq: this.#lastSeq };
    return new Pending(call, times, metrics.for(call.type, call.method), resolve, reject);
  }

  /** Checks what can be checked here, makes the call's own copy of its input, and sends it or holds it back. Throws what can never be sent. */
  #take(pending: Pending, input: unknown): void {
    const { routes, settings } = this.#o;
    if (this.#closed) throw new PerkeyError('client.closed', 'this client or node is closed');
    if (this.inFlight >= settings.inFlightMax) {
      throw new PerkeyError('client.overloaded', `${this.inFlight} requests are in flight already (inFlightMax)`, { retryAfterMs: 50 });
    }
    if (!routes.mayHost(pending.type)) {
      throw new PerkeyError('actor.unknown_type', `no node of the cluster hosts the actor type "${pending.type}"`, {
        details: { type: pending.type },
      });
    }
    if (pending.options.signal) this.#listen(pending, pending.options.signal);
    if (pending.settled) return;
    if (routes.shards > 0) pending.shard = shardOf(pending.key, routes.shards);
    if (pending.shard >= 0 && routes.get(pending.shard)?.target.local) pending.input = copyPlain(input);
    else this.#encode(pending, input);
    this.#watchDeadline(pending.deadline);
    if (pending.shard < 0) this.#unrouted.push(pending);
    else this.#dispatch(pending);
  }

  #encode(pending: Pending, input: unknown): void {
    const { headers, chain, idempotencyKey } = pending.options;
    const { type, key, method } = pending;
    const caller = this.#o.callerName;
    pending.tail = this.#tails.encode(type, key, method, input, headers, chain, idempotencyKey, caller);
  }

  #listen(pending: Pending, signal: AbortSignal): void {
    const abort = (): void => this.#abort(pending);
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    pending.stopListening = () => signal.removeEventListener('abort', abort);
  }

  #abort(pending: Pending): void {
    const sent = pending.id !== 0 && this.#mayHaveBeenSent(pending);
    const code = sent || pending.doubt ? 'request.aborted' : 'request.cancelled';
    this.#withdraw(pending);
    this.#reject(pending, new PerkeyError(code, 'the caller cancelled the request'));
  }

  /** Sends the call to the owner, or holds it back behind others or until there is an owner. */
  #dispatch(pending: Pending): void {
    const { routes, link, clock } = this.#o;
    const gate = this.#gates.get(pending.shard);
    const route = routes.get(pending.shard);
    if (gate || !route || route.target.gone || !(route.target.local || link.up)) {
      this.#hold(pending, 0);
      return;
    }
    pending.target = route.target;
    pending.epoch = route.epoch;
    pending.attempts += 1;
    pending.id = this.#newId();
    this.#pending.set(pending.id, pending);
    this.#inFlight[pending.shard] = (this.#inFlight[pending.shard] ?? 0) + 1;
    if (route.target.local) this.#sendLocally(pending);
    else this.#sendRemotely(pending, route.target, clock.now());
  }

  #newId(): number {
    do this.#lastId = (this.#lastId + 1) % idCount;
    while (this.#lastId === 0 || this.#pending.has(this.#lastId));
    return this.#lastId;
  }

  #sendRemotely(pending: Pending, target: Target, now: number): void {
    const { lane } = target;
    if (lane.appended === 0) this.#lanes.set(lane.address, lane);
    try {
      if (!pending.tail) this.#encode(pending, pending.input);
      const remaining = Math.max(1, Math.ceil(pending.deadline - now));
      lane.appended += 1;
      pending.ordinal = lane.appended;
      this.#batcher.request(lane.address, pending.id, pending.shard, 0, pending.epoch, remaining, pending.tail!);
    } catch (error) {
      lane.appended -= 1;
      this.#withdraw(pending);
      this.#reject(pending, error as PerkeyError);
    }
  }

  #sendLocally(pending: Pending): void {
    const { options } = pending;
    if (pending.tail && pending.input === undefined) pending.input = (decode(pending.tail) as unknown[])[3];
    this.#o.local?.admit(pending.shard, {
      id: pending.id,
      type: pending.type,
      method: pending.method,
      key: pending.key,
      input: pending.input,
      headers: options.headers ?? noHeaders,
      chain: options.chain ?? noChain,
      idempotencyKey: options.idempotencyKey,
      caller: this.#o.callerName,
      deadline: pending.deadline,
      reply: this.#localReplies,
    });
  }

  /** Takes the outcomes of this node's own actors. */
  readonly #localReplies = {
    ok: (id: number, value: unknown): void => {
      try {
        this.onOk(id, copyPlain(value));
      } catch (error) {
        this.onError(id, new PerkeyError('reply.not_plain', 'the reply cannot travel', { cause: error }));
      }
    },
    error: (id: number, error: PerkeyError): void => this.onError(id, error),
  };

  #sendFrame(to: string, frame: Uint8Array, count: number): void {
    const lane = this.#lanes.get(to);
    if (!lane) return;
    const { metrics, link } = this.#o;
    const token = this.#sent.note(lane, count);
    if (link.send(to, frame, token)) {
      metrics.framesSent.inc();
      metrics.envelopesPerFrame.observe(count);
    } else this.onUndeliverable(token);
  }

  onOk(id: number, value: unknown): void {
    const pending = this.#answered(id);
    if (!pending) return;
    pending.settled = true;
    pending.stopListening?.();
    pending.series.ok.inc();
    pending.series.duration.observe((this.#o.clock.now() - pending.startedAt) / 1000);
    pending.resolve(value);
  }

  onError(id: number, error: PerkeyError): void {
    const pending = this.#answered(id);
    if (!pending) return;
    if (error.executed === 'no' && retryRule(error.code) === 'route') {
      this.#learnFrom(pending.shard, error);
      this.#again(pending, error);
    } else if (error.executed === 'unknown' && pending.mayRepeat && error.code !== 'deadline.exceeded') this.#again(pending, error);
    else this.#reject(pending, error);
  }

  /** A refusal may name the owner that the refusing node knows of. */
  #learnFrom(shard: number, error: PerkeyError): void {
    const { owner, incarnation, epoch } = error.details;
    if (typeof owner !== 'string' || typeof incarnation !== 'string' || typeof epoch !== 'number') return;
    this.#o.routes.learn({ shard, nodeId: owner, incarnation, epoch });
  }

  /** The call that this answer belongs to; `undefined` for an answer to an attempt that is no longer waited for. */
  #answered(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending) this.#withdraw(pending);
    return pending;
  }

  /** Ends the attempt under way. */
  #withdraw(pending: Pending): void {
    if (pending.id === 0) return;
    this.#pending.delete(pending.id);
    pending.id = 0;
    const left = (this.#inFlight[pending.shard] ?? 1) - 1;
    this.#inFlight[pending.shard] = left;
    if (left === 0 && this.#gates.has(pending.shard)) this.#tryOpen(pending.shard);
  }

  #again(pending: Pending, error: PerkeyError): void {
    this.#o.metrics.retries.inc();
    pending.refusal = error;
    if (error.executed === 'unknown') pending.doubt = true;
    this.#hold(pending, pending.epoch);
    if (this.#inFlight[pending.shard] === 0) this.#tryOpen(pending.shard);
  }

  #hold(pending: Pending, refusedEpoch: number): void {
    const now = this.#o.clock.now();
    let gate = this.#gates.get(pending.shard);
    if (!gate) {
      gate = new Gate(now);
      this.#gates.set(pending.shard, gate);
    }
    gate.hold(pending, refusedEpoch, now);
    this.#held += 1;
    this.#watchGates();
  }

  #tryOpen(shard: number): void {
    const { routes, link, clock } = this.#o;
    const gate = this.#gates.get(shard);
    if (!gate || (this.#inFlight[shard] ?? 0) > 0) return;
    const route = routes.get(shard);
    if (gate.size > 0) {
      if (!route || route.target.gone || !(route.target.local || link.up)) return;
      if (route.epoch <= gate.epoch && clock.now() < gate.retryAt) return;
    }
    this.#gates.delete(shard);
    for (const pending of gate.open()) {
      this.#held -= 1;
      if (!pending.settled) this.#dispatch(pending);
    }
  }

  #watchGates(): void {
    this.#gateTimer ??= this.#o.clock.setTimer(20, () => {
      this.#gateTimer = undefined;
      this.#o.wantNews();
      for (const shard of this.#gates.keys()) this.#tryOpen(shard);
      if (this.#gates.size > 0) this.#watchGates();
    });
  }

  /** One timer for all deadlines, set for the earliest one that was ever asked for; most calls have ended long before. */
  #watchDeadline(deadline: number): void {
    if (deadline >= this.#earliestDeadline) return;
    this.#earliestDeadline = deadline;
    this.#deadlineTimer?.cancel();
    const delay = Math.max(1, Math.ceil(deadline - this.#o.clock.now()));
    this.#deadlineTimer = this.#o.clock.setTimer(delay, () => this.#expire());
  }

  #expire(): void {
    const now = this.#o.clock.now();
    let earliest = Number.POSITIVE_INFINITY;
    const look = (pending: Pending): void => {
      if (pending.settled) return;
      if (pending.deadline > now) earliest = Math.min(earliest, pending.deadline);
      else this.#expireOne(pending);
    };
    for (const pending of this.#pending.values()) look(pending);
    for (const pending of this.#unrouted) look(pending);
    this.#unrouted = this.#unrouted.filter((pending) => !pending.settled);
    for (const [shard, gate] of this.#gates) {
      for (const pending of gate) look(pending);
      this.#held -= gate.prune();
      if (gate.size === 0) this.#tryOpen(shard);
    }
    this.#earliestDeadline = Number.POSITIVE_INFINITY;
    if (earliest < Number.POSITIVE_INFINITY) this.#watchDeadline(earliest + 5);
  }

  #expireOne(pending: Pending): void {
    const sent = pending.id !== 0 && this.#mayHaveBeenSent(pending);
    this.#withdraw(pending);
    const what = `${pending.type}.${pending.method}`;
    if (sent || pending.doubt) {
      this.#reject(pending, new PerkeyError('deadline.exceeded', `no answer to ${what} before its deadline; it may have been executed`));
      return;
    }
    const { refusal } = pending;
    const details = { shard: pending.shard, ...(refusal && { lastRefusal: refusal.code }) };
    const why = refusal ? `; last refusal: ${refusal.message}` : '';
    this.#reject(pending, new PerkeyError('shard.no_owner', `no node took the shard of ${what} before its deadline${why}`, { details }));
  }

  #reject(pending: Pending, error: PerkeyError): void {
    if (pending.settled) return;
    pending.settled = true;
    pending.stopListening?.();
    pending.series.outcome(error.code).inc();
    pending.series.duration.observe((this.#o.clock.now() - pending.startedAt) / 1000);
    pending.reject(error);
  }

  #mayHaveBeenSent(pending: Pending): boolean {
    const { target } = pending;
    return target !== undefined && (target.local || pending.ordinal <= target.lane.sent);
  }

  /** The frame reached nobody, so none of its calls was executed. */
  onUndeliverable(token: number): void {
    const frame = this.#sent.find(token);
    if (!frame) return;
    const refusal = new PerkeyError('node.unreachable', 'nobody listens at the address of the owner');
    for (const pending of [...this.#pending.values()]) {
      const inFrame = pending.target?.lane === frame.lane && pending.ordinal > frame.after && pending.ordinal <= frame.upTo;
      if (!inFrame) continue;
      this.#withdraw(pending);
      this.#again(pending, refusal);
    }
    this.#o.wantNews();
  }

  /** The owner will answer nothing more: what it may have got ends as unknown, or is tried again where that does no harm. */
  onTargetGone(target: Target): void {
    this.#fail((pending) => pending.target === target, 'node.lost', `node ${target.nodeId} is gone; the request may have been executed`);
    this.#lanes.delete(target.lane.address);
  }

  onLinkDown(): void {
    const remote = (pending: Pending): boolean => pending.target?.local === false;
    this.#fail(remote, 'link.lost', 'the connection was lost after the request was sent; it may have been executed');
  }

  onLinkUp(): void {
    for (const shard of this.#gates.keys()) this.#tryOpen(shard);
  }

  /** A shard has another owner. What is still under way goes on at the former one; later calls wait for it, to keep their order. */
  onRoute(shard: number): void {
    if (this.#inFlight.length === 0) return;
    if ((this.#inFlight[shard] ?? 0) > 0 && !this.#gates.has(shard)) this.#gates.set(shard, new Gate(this.#o.clock.now()));
    this.#tryOpen(shard);
  }

  /** The number of shards became known. */
  onShards(): void {
    const { routes } = this.#o;
    if (this.#inFlight.length === 0) this.#inFlight = new Uint32Array(routes.shards);
    for (const pending of this.#unrouted.splice(0)) {
      if (pending.settled) continue;
      pending.shard = shardOf(pending.key, routes.shards);
      this.#dispatch(pending);
    }
  }

  #fail(chosen: (pending: Pending) => boolean, code: 'node.lost' | 'link.lost', message: string): void {
    const failed = [...this.#pending.values()].filter(chosen);
    const unsent = new PerkeyError('link.down', 'the request was not sent');
    const lost = new PerkeyError(code, message);
    for (const pending of failed) {
      const sent = this.#mayHaveBeenSent(pending);
      const { lane } = pending.target!;
      if (!sent) this.#batcher.drop(lane.address);
      this.#withdraw(pending);
      if (!sent) this.#again(pending, unsent);
      else if (pending.mayRepeat) this.#again(pending, lost);
      else this.#reject(pending, new PerkeyError(code, message));
    }
    for (const pending of failed) if (pending.target) pending.target.lane.appended = pending.target.lane.sent;
  }

  /** Ends every call: not sent ones as not executed, the others as unknown. */
  close(): void {
    this.#closed = true;
    this.#gateTimer?.cancel();
    this.#deadlineTimer?.cancel();
    const closed = (pending: Pending): PerkeyError => {
      const sent = (pending.id !== 0 && this.#mayHaveBeenSent(pending)) || pending.doubt;
      return sent
        ? new PerkeyError('link.lost', 'closed while the request was under way')
        : new PerkeyError('client.closed', 'closed before the request was sent');
    };
    const held = [...this.#gates.values()].flatMap((gate) => gate.open());
    const all = [...this.#pending.values(), ...held, ...this.#unrouted.splice(0)];
    this.#gates.clear();
    for (const pending of all) {
      const error = closed(pending);
      this.#withdraw(pending);
      this.#reject(pending, error);
    }
  }
}
