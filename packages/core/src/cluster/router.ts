import { PerkeyError, retryRule } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import { asRefusal } from '../base/plain.ts';
import { type Caller, type CallOptions, noChain, noOptions } from '../contract/calls.ts';
import { markOf } from './ahead.ts';
import { Attempts } from './attempts.ts';
import { checkCall } from './call-checks.ts';
import { closedEarly, fallenSilent, linkDown, linkLost, overtaken, tooLate, unknownType } from './call-errors.ts';
import { Deadlines } from './deadlines.ts';
import { inputOfTail, requestFlag } from './envelope.ts';
import type { Gate } from './gate.ts';
import { Gates } from './gates.ts';
import { InFlightKeys } from './in-flight-keys.ts';
import { LastWords } from './last-words.ts';
import { LocalReplies } from './local-replies.ts';
import { OneWays } from './one-ways.ts';
import { Pending } from './pending.ts';
import { RequestSender } from './request-sender.ts';
import type { RouterOptions } from './router-options.ts';
import type { Route, Target } from './routes.ts';

/**
 * Sends each call to the node that owns its key's shard, and again where that is safe, until its one outcome.
 *
 * Invariants:
 * - I11: a call is refused as not executed only if none of its attempts can have reached a handler. Each attempt has an id of its own, so
 *   that a late answer to a former attempt is never taken for the answer to a later one.
 * - I6: calls of this caller to one key are executed in the order in which they were made (see `Gate`). One that came back while a later one
 *   got through is not sent again; it ends as not executed.
 */
export class Router implements Caller {
  readonly #o: RouterOptions;
  readonly #attempts = new Attempts();
  readonly #gates: Gates;
  readonly #deadlines: Deadlines;
  readonly #lastWords: LastWords;
  /** Calls made before the number of shards was known. */
  readonly #unrouted = new Set<Pending>();
  readonly #sender: RequestSender;
  readonly #localReplies: LocalReplies;
  readonly #oneWays: OneWays;
  #isClosing = false;
  #lastSeq = 0;

  constructor(options: RouterOptions) {
    this.#o = options;
    const { clock, link, metrics, routes, wantNews } = options;
    this.#gates = new Gates({
      ...{ clock, wantNews, shards: () => routes.shards, hasRoom: () => this.#attempts.hasRoom },
      isQuiet: (shard) => this.#attempts.of(shard) === 0,
      mayTry: (shard, gate) => this.#mayTry(shard, gate),
      inFlight: () =>
        new InFlightKeys(
          this.#attempts.filter(({ shard }) => this.#gates.has(shard)),
          routes,
        ),
      mayGoAhead: (pending) => this.#routeTo(pending.shard) !== undefined && this.#markOf(pending, clock.now()) !== 0,
      dispatch: (pending) => this.#attempt(pending, clock.now()),
    });
    this.#deadlines = new Deadlines(clock, (now) => this.#expire(now));
    this.#sender = new RequestSender(options, { onRefused: (token) => this.#undelivered(token, linkDown()), onThrown: this.#onThrown });
    this.#lastWords = new LastWords({ clock, link, sent: this.#sender.frames, onSilence: (target, upTo) => this.#onSilence(target, upTo) });
    this.#localReplies = new LocalReplies(this, link.frameBytesMax);
    this.#oneWays = new OneWays(metrics.notifiesLost);
  }

  get inFlight(): number {
    return this.#attempts.awaited + this.#gates.held + this.#unrouted.size;
  }

  request(type: string, method: string, key: string, input: unknown, options: CallOptions = noOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const pending = this.#pendingFor(type, method, key, options, resolve, reject);
      pending.madeIn = options.chain ?? noChain;
      try {
        this.#take(pending, input);
      } catch (error) {
        this.#reject(pending, asRefusal(error));
      }
    });
  }

  notify(type: string, method: string, key: string, input: unknown, options: CallOptions = noOptions): void {
    const oneWay = { ...options, chain: undefined, deadline: undefined, signal: undefined };
    const pending = this.#pendingFor(type, method, key, oneWay, this.#oneWays.done, this.#oneWays.failed);
    pending.madeIn = options.chain ?? noChain;
    this.#oneWays.begin(() => this.#take(pending, input));
  }

  #pendingFor(
    type: string,
    method: string,
    key: string,
    options: CallOptions,
    resolve: (value: unknown) => void,
    reject: (error: PerkeyError) => void,
  ): Pending {
    this.#lastSeq += 1;
    const { clock, metrics } = this.#o;
    return new Pending(type, method, key, options, clock.now(), this.#lastSeq, metrics.for(type, method), resolve, reject);
  }

  /** Checks what can be checked here, makes the call's own copy of its input, and sends it or holds it back. Throws what can never be sent. */
  #take(pending: Pending, input: unknown): void {
    const { routes, settings } = this.#o;
    const { options, startedAt } = pending;
    if (this.#isClosing) throw new PerkeyError('client.closed', 'this client or node is closed');
    checkCall(pending, settings);
    if (this.inFlight >= settings.inFlightMax) {
      throw new PerkeyError('client.overloaded', `${this.inFlight} requests are in flight already (inFlightMax)`, { retryAfterMs: 50 });
    }
    if (!routes.mayHost(pending.type)) {
      this.#o.wantNews();
      throw unknownType(pending.type);
    }
    if (options.signal) pending.listen(options.signal, () => this.#abort(pending));
    if (pending.settled) return;
    if (routes.shards > 0) pending.shard = shardOf(pending.key, routes.shards);
    if (pending.shard >= 0 && routes.get(pending.shard)?.target.local) this.#sender.copy(pending, input);
    else this.#sender.encode(pending, input);
    // An accessor of the input may have cancelled the call, or closed this router.
    if (pending.settled) return;
    if (this.#isClosing) throw new PerkeyError('client.closed', 'this client or node is closed');
    this.#deadlines.watch(pending.deadline);
    if (pending.shard < 0) this.#unrouted.add(pending);
    else if (this.#gates.size > 0 && this.#gates.stops(pending)) this.#gates.hold(pending);
    else this.#attempt(pending, startedAt);
  }

  #abort(pending: Pending): void {
    const code = pending.mayHaveRun ? 'request.aborted' : 'request.cancelled';
    const { id, target } = pending;
    if (id !== 0 && target?.local) this.#o.local?.cancel((request) => request.id === id && request.reply === this.#localReplies);
    else if (id !== 0 && target) this.#sender.cancel(target, id);
    this.#giveUp([pending], () => new PerkeyError(code, 'the caller cancelled the request'));
  }

  /** Sends the call to the owner, or holds it back until there is one. */
  #attempt(pending: Pending, now: number): void {
    const route = this.#routeTo(pending.shard);
    if (pending.deadline <= now) this.#reject(pending, tooLate(pending, this.#o.link.up));
    else if (!route) this.#gates.holdBack(pending, 0);
    else {
      pending.target = route.target;
      pending.epoch = route.epoch;
      pending.mark = this.#markOf(pending, now);
      this.#attempts.begin(pending);
      if (route.target.local) this.#sendLocally(pending);
      else this.#sendRemotely(pending, route.target, now);
    }
  }

  #sendRemotely(pending: Pending, target: Target, now: number): void {
    try {
      this.#sender.send(pending, target, now);
    } catch (error) {
      this.#attempts.end(pending);
      this.#reject(pending, asRefusal(error));
    }
  }

  #sendLocally(pending: Pending): void {
    const { local, callerName } = this.#o;
    const { id, shard, mark } = pending;
    const isAwaited = mark !== 0 && local?.leavingEpoch(shard, mark === requestFlag.heldLong) !== undefined;
    if (pending.tail && pending.input === undefined) pending.input = inputOfTail(pending.tail);
    try {
      local?.admit(shard, pending.inbound(callerName, this.#localReplies), isAwaited);
    } catch (error) {
      this.onError(id, new PerkeyError('turn.abandoned', 'this node failed to run the request', { cause: error }));
    }
  }

  onOk(id: number, value: unknown, now: number): void {
    const pending = this.#attempts.answered(id);
    if (!pending) return;
    if (!pending.settled) pending.succeed(value, now);
    if (this.#gates.size > 0) this.#passed([pending]);
  }

  onError(id: number, error: PerkeyError): void {
    const pending = this.#attempts.answered(id);
    if (!pending) return;
    if (pending.settled) {
      if (error.executed === 'no') this.#gates.tryOpen(pending.shard);
      else this.#passed([pending]);
    } else if (error.executed === 'no' && retryRule(error.code) === 'route') {
      // Held back first: what it tells may open the gate.
      this.#again(pending, error);
      const { owner, incarnation, epoch } = error.details;
      this.#o.routes.hear(pending.shard, owner, incarnation, epoch);
      this.#gates.tryOpen(pending.shard);
    } else if (error.executed === 'unknown' && error.code !== 'deadline.exceeded') {
      this.#lose([pending], error);
    } else {
      this.#reject(pending, error);
      if (error.executed === 'no') this.#gates.tryOpen(pending.shard);
      else this.#passed([pending]);
    }
  }

  /** The call waits for the next attempt. Its attempt has ended; the gate is for the caller to try. */
  #again(pending: Pending, error: PerkeyError): void {
    if (pending.settled) return;
    this.#o.metrics.retries.inc();
    pending.refusal = error;
    if (error.code === 'node.unreachable') pending.target!.isUnheard = true;
    if (error.executed === 'unknown') pending.doubt = true;
    this.#gates.holdBack(pending, this.#reachable(pending.target!) ? pending.epoch : 0);
  }

  #markOf(pending: Pending, now: number): number {
    return markOf(pending, now, this.#o.local, this.#attempts, this.#o.routes);
  }

  /** To the owner, where it is reachable. */
  #routeTo(shard: number): Route | undefined {
    const route = this.#o.routes.get(shard);
    return route && this.#reachable(route.target) ? route : undefined;
  }

  /** Calls go out to an owner that is reachable; to one that refused, only after a while. */
  #mayTry(shard: number, gate: Gate): boolean {
    const route = this.#routeTo(shard);
    return route !== undefined && (route.epoch > gate.epoch || this.#o.clock.now() >= gate.retryAt);
  }

  #reachable(target: Target): boolean {
    return !target.gone && (target.local || this.#o.link.up);
  }

  #expire(now: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    const expired: Pending[] = [];
    const silent: Pending[] = [];
    const look = (pending: Pending): void => {
      if (pending.deadline <= now) (pending.settled ? silent : expired).push(pending);
      else if (pending.deadline < earliest) earliest = pending.deadline;
    };
    this.#attempts.forEach(look);
    for (const pending of this.#gates) look(pending);
    for (const pending of this.#unrouted) look(pending);
    for (const pending of silent) this.#attempts.end(pending);
    this.#passed(silent);
    this.#giveUp(expired, (pending) => tooLate(pending, this.#o.link.up));
    return earliest;
  }

  /** The caller waits no longer. */
  #giveUp(calls: readonly Pending[], why: (pending: Pending) => PerkeyError): void {
    for (const pending of calls) {
      const error = why(pending);
      if (pending.id === 0) this.#reject(pending, error);
      else this.#leaveBehind(pending, error);
    }
    for (const { shard } of calls) this.#gates.tryOpen(shard);
  }

  /**
   * Nobody waits for the attempt any more, but what becomes of it still decides whether earlier calls to its key may be sent again, and when
   * later ones may go to another owner (I6).
   */
  #leaveBehind(pending: Pending, error: PerkeyError): void {
    const now = this.#o.clock.now();
    pending.fail(error, now);
    this.#attempts.leaveBehind(pending, now);
    this.#deadlines.watch(pending.deadline);
  }

  #reject(pending: Pending, error: PerkeyError): void {
    if (pending.settled) return;
    if (pending.id !== 0) this.#attempts.end(pending);
    else if (pending.shard < 0) this.#unrouted.delete(pending);
    else this.#gates.drop(pending);
    pending.fail(error, this.#o.clock.now());
  }

  /** These calls were executed, or may have been: what they overtook must not follow them (I6), and what waited for them may go. */
  #passed(calls: readonly Pending[]): void {
    if (this.#gates.size === 0) return;
    for (const pending of calls) for (const earlier of this.#gates.overtakenBy(pending)) this.#reject(earlier, overtaken(earlier));
    for (const { shard } of calls) this.#gates.tryOpen(shard);
  }

  /** The frame reached nobody, so none of its calls was executed. */
  onUndeliverable(token: number): void {
    this.#lastWords.came(token);
    this.#undelivered(token, new PerkeyError('node.unreachable', 'nobody listens at the address of the owner'));
  }

  #undelivered(token: number, refusal: PerkeyError): void {
    const inFrame = this.#sender.contentOf(token);
    if (!inFrame) return;
    const calls = this.#endAll(inFrame);
    for (const pending of calls) this.#again(pending, refusal);
    for (const { shard } of calls) this.#gates.tryOpen(shard);
    this.#o.wantNews();
  }

  /** The connection broke while it took the frame. */
  readonly #onThrown = (token: number, thrown: unknown): void => {
    const inFrame = this.#sender.contentOf(token);
    if (inFrame) this.#lose(this.#endAll(inFrame), new PerkeyError('link.lost', 'the request could not be written', { cause: thrown }));
  };

  /** The owner is gone. What was not sent yet waits for the next owner; the rest, for the last answers that are on their way. */
  onTargetGone(target: Target): void {
    this.#takeBackUnsent((pending) => pending.target === target);
    if (this.#attempts.some((pending) => pending.target === target)) this.#lastWords.await(target);
    else this.#sender.forget(target);
  }

  /** The owner lives on with another connection. What it had got it may answer for a short time; the rest is taken for lost. */
  onTargetRelinked(target: Target): void {
    if (this.#attempts.some((pending) => pending.target === target && this.#sender.wasSent(pending))) this.#lastWords.await(target);
  }

  #onSilence(target: Target, upTo: number): void {
    const lost = this.#endAll((pending) => pending.target === target && (target.gone || pending.ordinal <= upTo));
    if (target.gone) this.#sender.forget(target);
    this.#lose(lost, fallenSilent(target));
  }

  onLinkDown(): void {
    const isRemote = (pending: Pending): boolean => pending.target?.local === false;
    this.#takeBackUnsent(isRemote);
    this.#lose(this.#endAll(isRemote), linkLost());
  }

  onLinkUp(): void {
    this.#gates.doubtAll();
    this.#gates.tryOpenAll();
  }

  /** A shard has another owner. What is still under way goes on at the former one; later calls wait for it, to keep their order. */
  onRoute(shard: number): void {
    if (this.#attempts.of(shard) > 0) this.#gates.close(shard);
    this.#gates.tryOpen(shard);
  }

  /** The number of shards became known. */
  onShards(): void {
    const { routes, clock } = this.#o;
    this.#attempts.setShards(routes.shards);
    const unrouted = [...this.#unrouted];
    this.#unrouted.clear();
    for (const pending of unrouted) {
      pending.shard = shardOf(pending.key, routes.shards);
      if (!routes.mayHost(pending.type)) this.#reject(pending, unknownType(pending.type));
      else if (this.#gates.has(pending.shard)) this.#gates.hold(pending);
      else this.#attempt(pending, clock.now());
    }
  }

  /** Calls that were certainly not executed wait for the next attempt. */
  #takeBackUnsent(chosen: (pending: Pending) => boolean): void {
    const unsent = this.#endAll((pending) => chosen(pending) && !this.#sender.wasSent(pending));
    for (const pending of unsent) this.#again(pending, linkDown());
    for (const lane of new Set(unsent.map(({ target }) => target!.lane))) this.#sender.dropUnsent(lane);
    for (const { shard } of unsent) this.#gates.tryOpen(shard);
  }

  /** What became of these calls will never be known: they are tried again where that does no harm. */
  #lose(calls: readonly Pending[], error: PerkeyError): void {
    const passed: Pending[] = [];
    for (const pending of calls) {
      if (pending.settled || pending.options.idempotent !== true) passed.push(pending);
      if (pending.mayRepeat) this.#again(pending, error);
      else this.#reject(pending, error);
    }
    this.#passed(passed);
    for (const { shard } of calls) this.#gates.tryOpen(shard);
  }

  /** All chosen attempts end before the first of their calls is dealt with, and before any gate opens: none may overtake another (I6). */
  #endAll(chosen: (pending: Pending) => boolean): Pending[] {
    const ended = this.#attempts.filter(chosen);
    for (const pending of ended) this.#attempts.end(pending);
    return ended;
  }

  /** From here on new calls are refused. Resolves when every one-way message has ended, or after `ms`. */
  lastOneWays(ms: number): Promise<void> {
    this.#isClosing = true;
    return this.#oneWays.ended(this.#o.clock, ms);
  }

  /** Ends every call: not sent ones as not executed, the others as unknown. */
  close(): void {
    this.#isClosing = true;
    this.#deadlines.stop();
    this.#lastWords.stop();
    this.#sender.close();
    const sent = this.#endAll((pending) => this.#sender.wasSent(pending));
    for (const pending of sent) pending.doubt = true;
    const all = [...sent, ...this.#attempts.filter(() => true), ...this.#gates.stop(), ...this.#unrouted];
    for (const pending of all) this.#reject(pending, closedEarly(pending));
  }
}
