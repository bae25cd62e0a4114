import { PerkeyError, retryRule } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import { asRefusal, copyPlain } from '../base/plain.ts';
import { type Caller, type CallOptions } from '../contract/calls.ts';
import { Attempts } from './attempts.ts';
import { Deadlines } from './deadlines.ts';
import { inputOfTail } from './envelope.ts';
import type { Gate } from './gate.ts';
import { Gates } from './gates.ts';
import { LastWords } from './last-words.ts';
import { Pending } from './pending.ts';
import { RequestSender } from './request-sender.ts';
import type { RouterOptions } from './router-options.ts';
import type { Target } from './routes.ts';
import type { Lane } from './sent-frames.ts';

const noOptions: CallOptions = Object.freeze({});

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
  readonly #attempts = new Attempts();
  readonly #gates: Gates;
  readonly #deadlines: Deadlines;
  readonly #lastWords: LastWords;
  /** Calls made before the number of shards was known. */
  #unrouted: Pending[] = [];
  readonly #sender: RequestSender;
  #lastSeq = 0;
  #closed = false;

  constructor(options: RouterOptions) {
    this.#o = options;
    const { clock, link, wantNews } = options;
    this.#gates = new Gates({
      clock,
      wantNews,
      mayOpen: (shard, gate) => this.#mayOpen(shard, gate),
      dispatch: (pending) => this.#dispatch(pending),
    });
    this.#deadlines = new Deadlines(clock, (now) => this.#expire(now));
    this.#sender = new RequestSender(options, (token) => this.onUndeliverable(token));
    this.#lastWords = new LastWords({ clock, link, sent: this.#sender.frames, onSilence: (target) => this.#onSilence(target) });
  }

  get inFlight(): number {
    return this.#attempts.size + this.#gates.held + this.#unrouted.length;
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
      this.#reject(pending, asRefusal(error));
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
    else this.#sender.encode(pending, input);
    this.#deadlines.watch(pending.deadline);
    if (pending.shard < 0) this.#unrouted.push(pending);
    else this.#dispatch(pending);
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
    const code = this.#mayHaveRun(pending) ? 'request.aborted' : 'request.cancelled';
    this.#attempts.end(pending);
    this.#reject(pending, new PerkeyError(code, 'the caller cancelled the request'));
    this.#gates.tryOpen(pending.shard);
  }

  /** Sends the call to the owner, or holds it back behind others or until there is an owner. */
  #dispatch(pending: Pending): void {
    const route = this.#o.routes.get(pending.shard);
    if (!route || this.#gates.has(pending.shard) || !this.#reachable(route.target)) {
      this.#gates.hold(pending, 0);
      return;
    }
    pending.target = route.target;
    pending.epoch = route.epoch;
    this.#attempts.begin(pending);
    if (route.target.local) this.#sendLocally(pending);
    else this.#sendRemotely(pending, route.target);
  }

  #sendRemotely(pending: Pending, target: Target): void {
    try {
      this.#sender.send(pending, target);
    } catch (error) {
      this.#attempts.end(pending);
      this.#reject(pending, asRefusal(error));
    }
  }

  #sendLocally(pending: Pending): void {
    if (pending.tail && pending.input === undefined) pending.input = inputOfTail(pending.tail);
    this.#o.local?.admit(pending.shard, pending.inbound(this.#o.callerName, this.#localReplies));
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

  onOk(id: number, value: unknown): void {
    const pending = this.#attempts.get(id);
    if (!pending) return;
    this.#attempts.end(pending);
    pending.settled = true;
    pending.stopListening?.();
    pending.series.ok.inc();
    pending.series.duration.observe((this.#o.clock.now() - pending.startedAt) / 1000);
    pending.resolve(value);
    this.#gates.tryOpen(pending.shard);
  }

  onError(id: number, error: PerkeyError): void {
    const pending = this.#attempts.get(id);
    if (!pending) return;
    this.#attempts.end(pending);
    if (error.executed === 'no' && retryRule(error.code) === 'route') {
      this.#learnFrom(pending.shard, error);
      this.#again(pending, error);
    } else if (error.executed === 'unknown' && pending.mayRepeat && error.code !== 'deadline.exceeded') this.#again(pending, error);
    else this.#reject(pending, error);
    this.#gates.tryOpen(pending.shard);
  }

  /** A refusal may name the owner that the refusing node knows of. */
  #learnFrom(shard: number, error: PerkeyError): void {
    const { owner, incarnation, epoch } = error.details;
    if (typeof owner !== 'string' || typeof incarnation !== 'string' || typeof epoch !== 'number') return;
    this.#o.routes.learn({ shard, nodeId: owner, incarnation, epoch });
  }

  /** The call waits for the next attempt. Its attempt has ended; the gate is for the caller to try. */
  #again(pending: Pending, error: PerkeyError): void {
    this.#o.metrics.retries.inc();
    pending.refusal = error;
    if (error.executed === 'unknown') pending.doubt = true;
    this.#gates.hold(pending, pending.epoch);
  }

  /** Calls go out to an owner that is reachable, once everything sent before came back; to one that refused, only after a while. */
  #mayOpen(shard: number, gate: Gate): boolean {
    const { routes, clock } = this.#o;
    if (this.#attempts.of(shard) > 0) return false;
    if (gate.size === 0) return true;
    const route = routes.get(shard);
    if (!route || !this.#reachable(route.target)) return false;
    return route.epoch > gate.epoch || clock.now() >= gate.retryAt;
  }

  #reachable(target: Target): boolean {
    return !target.gone && (target.local || this.#o.link.up);
  }

  #expire(now: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const pending of [...this.#attempts, ...this.#gates, ...this.#unrouted]) {
      if (pending.settled) continue;
      if (pending.deadline > now) earliest = Math.min(earliest, pending.deadline);
      else this.#expireOne(pending);
    }
    this.#unrouted = this.#unrouted.filter((pending) => !pending.settled);
    this.#gates.prune();
    return earliest;
  }

  #expireOne(pending: Pending): void {
    const error = expired(pending, this.#mayHaveRun(pending));
    this.#attempts.end(pending);
    this.#reject(pending, error);
    this.#gates.tryOpen(pending.shard);
  }

  #reject(pending: Pending, error: PerkeyError): void {
    if (pending.settled) return;
    pending.settled = true;
    pending.stopListening?.();
    pending.series.outcome(error.code).inc();
    pending.series.duration.observe((this.#o.clock.now() - pending.startedAt) / 1000);
    pending.reject(error);
  }

  /** I11: whether any attempt of the call can have reached a handler. */
  #mayHaveRun(pending: Pending): boolean {
    return pending.doubt || (pending.id !== 0 && this.#sender.wasSent(pending));
  }

  /** The frame reached nobody, so none of its calls was executed. */
  onUndeliverable(token: number): void {
    this.#lastWords.came(token);
    const inFrame = this.#sender.contentOf(token);
    if (!inFrame) return;
    const refusal = new PerkeyError('node.unreachable', 'nobody listens at the address of the owner');
    this.#endAll(inFrame, (pending) => this.#again(pending, refusal));
    this.#o.wantNews();
  }

  /** The owner is gone. What was not sent yet waits for the next owner; the rest, for the last answers that are on their way. */
  onTargetGone(target: Target): void {
    this.#takeBackUnsent((pending) => pending.target === target);
    for (const pending of this.#attempts) {
      if (pending.target !== target) continue;
      this.#lastWords.await(target);
      return;
    }
    this.#sender.forget(target);
  }

  #onSilence(target: Target): void {
    this.#fail((pending) => pending.target === target, 'node.lost', `node ${target.nodeId} is gone; the request may have been executed`);
    this.#sender.forget(target);
  }

  onLinkDown(): void {
    const remote = (pending: Pending): boolean => pending.target?.local === false;
    this.#fail(remote, 'link.lost', 'the connection was lost after the request was sent; it may have been executed');
  }

  onLinkUp(): void {
    this.#gates.tryOpenAll();
  }

  /** A shard has another owner. What is still under way goes on at the former one; later calls wait for it, to keep their order. */
  onRoute(shard: number): void {
    if (this.#attempts.of(shard) > 0) this.#gates.close(shard);
    this.#gates.tryOpen(shard);
  }

  /** The number of shards became known. */
  onShards(): void {
    const { routes } = this.#o;
    this.#attempts.setShards(routes.shards);
    for (const pending of this.#unrouted.splice(0)) {
      if (pending.settled) continue;
      pending.shard = shardOf(pending.key, routes.shards);
      this.#dispatch(pending);
    }
  }

  /** Calls that were certainly not executed wait for the next attempt. */
  #takeBackUnsent(chosen: (pending: Pending) => boolean): void {
    const unsent = (pending: Pending): boolean => chosen(pending) && !this.#sender.wasSent(pending);
    const refusal = new PerkeyError('link.down', 'the request was not sent');
    const lanes = new Set<Lane>();
    this.#endAll(
      unsent,
      (pending) => {
        lanes.add(pending.target!.lane);
        this.#again(pending, refusal);
      },
      () => {
        for (const lane of lanes) this.#sender.dropUnsent(lane);
      },
    );
  }

  #fail(chosen: (pending: Pending) => boolean, code: 'node.lost' | 'link.lost', message: string): void {
    this.#takeBackUnsent(chosen);
    this.#endAll(chosen, (pending) => {
      if (pending.mayRepeat) this.#again(pending, new PerkeyError(code, message));
      else this.#reject(pending, new PerkeyError(code, message));
    });
  }

  /** Ends the chosen attempts, then deals with their calls, and only then lets gates open: none may overtake another (I6). */
  #endAll(chosen: (pending: Pending) => boolean, deal: (pending: Pending) => void, then?: () => void): void {
    const ended = [...this.#attempts].filter(chosen);
    for (const pending of ended) this.#attempts.end(pending);
    for (const pending of ended) deal(pending);
    then?.();
    for (const pending of ended) this.#gates.tryOpen(pending.shard);
  }

  /** Ends every call: not sent ones as not executed, the others as unknown. */
  close(): void {
    this.#closed = true;
    this.#deadlines.stop();
    this.#lastWords.stop();
    for (const pending of [...this.#attempts, ...this.#gates.stop(), ...this.#unrouted.splice(0)]) {
      const error = this.#mayHaveRun(pending)
        ? new PerkeyError('link.lost', 'closed while the request was under way; it may have been executed')
        : new PerkeyError('client.closed', 'closed before the request was sent');
      this.#attempts.end(pending);
      this.#reject(pending, error);
    }
  }
}

function expired(pending: Pending, mayHaveRun: boolean): PerkeyError {
  const { refusal, type, method, shard } = pending;
  if (mayHaveRun)
    return new PerkeyError('deadline.exceeded', `no answer to ${type}.${method} before its deadline; it may have been executed`);
  const details = { shard, ...(refusal && { lastRefusal: refusal.code }) };
  const why = refusal ? `; last refusal: ${refusal.message}` : '';
  return new PerkeyError('shard.no_owner', `no node took the shard of ${type}.${method} before its deadline${why}`, { details });
}
