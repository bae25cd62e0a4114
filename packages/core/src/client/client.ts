import { type ActorHandle, bindHandle, bindNotifyHandle, type NotifyHandle } from '../actor/handle-classes.ts';
import type { AnyContract } from '../actor/method-spec.ts';
import { type Clock, systemClock, type Timer } from '../base/clock.ts';
import { Decoder } from '../base/decoder.ts';
import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import { childLogger, type Logger, silentLogger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import type { GivenOptions } from '../base/options.ts';
import { type Random, systemRandom } from '../base/random.ts';
import { controlLimits, decodeControlFrame, frameKind, headerOnlyFrame, readFrameKind } from '../cluster/frame.ts';
import { FrameProblems, takeReplies } from '../cluster/inbound.ts';
import { applyNews, KnownNodes, type News, parseNews } from '../cluster/news.ts';
import { checkParts } from '../cluster/part-checks.ts';
import { doneWithin } from '../base/pause.ts';
import { RequestMetrics } from '../cluster/request-metrics.ts';
import { Router } from '../cluster/router.ts';
import { Routes } from '../cluster/routes.ts';
import { type callerOptions, type CallerSettings, callerSettings } from '../cluster/settings.ts';
import type { Caller, CallOptions } from '../contract/calls.ts';
import type { DataLink, LinkEnvironment, Transport, Via } from '../contract/transport.ts';

/** While calls wait for news, nodes are asked this often at most, and ever less often as long as the answers bring nothing new. */
const askEveryMs = 100;
const askSlowlyMs = 1_000;
const callerNameMax = 256;
/** How long `connect` waits for a first answer. */
const newsPatienceMs = 1_000;
/** So often a client asks in any case, since what is pushed may be lost. */
const askAnywayMs = 5_000;
/** How long a client that closes waits for the one-way messages that it has under way. */
const lastOneWaysMs = 3_000;

export interface ClientParts {
  readonly transport: Transport;
  /** Default: nothing is logged. */
  readonly log?: Logger;
  readonly metrics?: Metrics;
  /** Binds idempotency keys: another caller cannot get at the reply. Give gateways that serve the same users the same name. Default ''. */
  readonly callerName?: string;
  readonly middleware?: readonly CallMiddleware[];
  readonly clock?: Clock;
  readonly random?: Random;
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export type ClientOptions = ClientParts & GivenOptions<typeof callerOptions>;

export interface OutgoingCall {
  readonly type: string;
  readonly method: string;
  readonly key: string;
  readonly input: unknown;
  readonly options: CallOptions;
}

/** Runs around each call of a client; the first of the list is the outermost. `next` may get a changed call. */
export type CallMiddleware = (call: OutgoingCall, next: (call: OutgoingCall) => Promise<unknown>) => Promise<unknown>;

/** A thin client: it hosts nothing, needs no right on any store, and learns from the nodes who owns what. */
export class Client implements Caller, AsyncDisposable {
  readonly metrics: Metrics;
  readonly #environment: LinkEnvironment;
  readonly #settings: CallerSettings;
  readonly #decoder = new Decoder();
  readonly #nodes = new KnownNodes();
  readonly #problems: FrameProblems;
  readonly #call: (call: OutgoingCall) => Promise<unknown>;
  readonly #callerName: string;
  readonly #requestMetrics: RequestMetrics;
  readonly #declared = new WeakSet<AnyContract>();
  #link!: DataLink;
  #routes!: Routes;
  #router!: Router;
  #askedAt = Number.NEGATIVE_INFINITY;
  #askGapMs = askEveryMs;
  #askTimer: Timer | undefined;
  #onFirstNews: (() => void) | undefined;
  /** What was told last: mostly the next answer says the same. */
  #lastNews: { readonly frame: Uint8Array; readonly news: News } | undefined;
  #closed: Promise<void> | undefined;

  /** Use `connect`. */
  constructor(settings: CallerSettings, environment: LinkEnvironment, callerName: string, middleware: readonly CallMiddleware[]) {
    const { clock, log, metrics } = environment;
    this.metrics = metrics;
    this.#environment = environment;
    this.#settings = settings;
    this.#callerName = callerName;
    this.#problems = new FrameProblems(clock, log, metrics);
    this.#requestMetrics = new RequestMetrics(metrics);
    const send = (call: OutgoingCall): Promise<unknown> => this.#router.request(call.type, call.method, call.key, call.input, call.options);
    this.#call = middleware.reduceRight<(call: OutgoingCall) => Promise<unknown>>((next, layer) => (call) => layer(call, next), send);
    this.#direct = middleware.length === 0;
  }

  readonly #direct: boolean;

  /** Called once, by `connect`. Resolves when connected and, if any node runs, informed. */
  async open(transport: Transport): Promise<void> {
    const { random, clock } = this.#environment;
    const informed = new Promise<void>((resolve) => {
      this.#onFirstNews = resolve;
    });
    const events = {
      onFrame: (frame: Uint8Array, _from: string, via: Via): void => this.#onFrame(frame, via),
      onUndeliverable: (token: number): void => this.#onUndeliverable(token),
      onState: (up: boolean): void => this.#onState(up),
    };
    this.#link = await transport.openData({ kind: 'client', clientId: random.hex(12) }, events, this.#environment);
    this.#assemble();
    this.#ask();
    this.#askRegularly();
    await doneWithin(clock, Math.min(newsPatienceMs, this.#settings.connectTimeoutMs), informed);
  }

  actor<C extends AnyContract>(contract: C, key: string): ActorHandle<C> {
    this.#declare(contract);
    return bindHandle(contract, key, this);
  }

  notifyActor<C extends AnyContract>(contract: C, key: string): NotifyHandle<C> {
    this.#declare(contract);
    return bindNotifyHandle(contract, key, this);
  }

  request(type: string, method: string, key: string, input: unknown, options?: CallOptions): Promise<unknown> {
    if (this.#direct) return this.#router.request(type, method, key, input, options);
    try {
      return this.#call({ type, method, key, input, options: options ?? {} });
    } catch (error) {
      // A middleware that throws before it gives a promise.
      return Promise.reject(error);
    }
  }

  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void {
    this.#router.notify(type, method, key, input, options);
  }

  /** How many shards there are (0: not known yet), how many of them have a living owner, and whether the connection is up. */
  reachability(): { readonly connected: boolean; readonly shards: number; readonly reachable: number } {
    return { connected: this.#link.up, shards: this.#routes.shards, reachable: this.#routes.reachable() };
  }

  /** Takes no more calls; waits up to 3 s for one-way messages under way, then ends every call and the connection. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#router.lastOneWays(lastOneWaysMs);
    this.#askTimer?.cancel();
    this.#router.close();
    await this.#link.close();
  }

  #declare(contract: AnyContract): void {
    if (this.#declared.has(contract)) return;
    this.#declared.add(contract);
    this.#requestMetrics.declare(contract.type, Object.keys(contract.methods));
  }

  #assemble(): void {
    const { clock } = this.#environment;
    const link = this.#link;
    this.#routes = new Routes({
      addressOf: (who) => link.nodeAddress(who.nodeId, who.incarnation),
      isLocal: () => false,
      onRoute: (shard) => {
        this.#askGapMs = askEveryMs;
        this.#router.onRoute(shard);
      },
      onGone: (target) => this.#router.onTargetGone(target),
      onRelinked: (target) => this.#router.onTargetRelinked(target),
    });
    this.#router = new Router({
      ...{ clock, settings: this.#settings, link, routes: this.#routes, metrics: this.#requestMetrics },
      callerName: this.#callerName,
      local: undefined,
      wantNews: () => this.#ask(),
    });
    this.metrics.observedGauge('perkey_cluster_requests_in_flight', 'Calls of this process under way.', () => this.#router.inFlight);
  }

  #ask(): void {
    const now = this.#environment.clock.now();
    const sinceLast = now - this.#askedAt;
    if (sinceLast > 2 * askSlowlyMs) this.#askGapMs = askEveryMs;
    if (sinceLast < this.#askGapMs || !this.#link.up) return;
    this.#askedAt = now;
    this.#askGapMs = Math.min(askSlowlyMs, this.#askGapMs * 2);
    try {
      this.#link.send(this.#link.anyNode, headerOnlyFrame(frameKind.topologyAsk), 0);
    } catch (error) {
      this.#environment.log.debug({ err: error }, 'nodes could not be asked for news');
    }
  }

  #askRegularly(): void {
    this.#askTimer = this.#environment.clock.setTimer(this.#routes.shards === 0 ? askEveryMs * 2 : askAnywayMs, () => {
      this.#ask();
      this.#askRegularly();
    });
  }

  /** Answers come by this client's own address, which only the nodes know that it sent to; news also by the one of all clients. */
  #onFrame(frame: Uint8Array, via: Via): void {
    // What comes before the link is open is asked for as soon as it is.
    if (!this.#router) return;
    const kind = readFrameKind(frame);
    if (kind === frameKind.reply && via.at === 'reply') {
      if (!takeReplies(frame, this.#decoder, this.#router, this.#environment.clock.now())) this.#problems.note('truncated');
    } else if (kind === frameKind.topology) this.#onTopology(frame);
    else if (typeof kind === 'number') this.#problems.note('unexpected', { kind });
    else this.#problems.note(kind.problem, kind);
  }

  #onTopology(frame: Uint8Array): void {
    const news = this.#readNews(frame);
    if (!news) {
      this.#problems.note('body');
      return;
    }
    applyNews(news, this.#nodes, this.#routes);
    this.#router.onShards();
    this.#onFirstNews?.();
  }

  #readNews(frame: Uint8Array): News | undefined {
    const last = this.#lastNews;
    if (last !== undefined && Buffer.compare(last.frame, frame) === 0) return last.news;
    const control = decodeControlFrame(frame, controlLimits);
    const news = 'problem' in control ? undefined : parseNews(control.value);
    if (news !== undefined) this.#lastNews = { frame: frame.slice(), news };
    return news;
  }

  #onUndeliverable(token: number): void {
    if (token !== 0) this.#router?.onUndeliverable(token);
    else this.#onFirstNews?.();
  }

  #onState(up: boolean): void {
    if (!this.#router) return;
    if (up) {
      this.#askedAt = Number.NEGATIVE_INFINITY;
      this.#askGapMs = askEveryMs;
      this.#ask();
      this.#router.onLinkUp();
    } else this.#router.onLinkDown();
  }
}

/** Connects a thin client. Resolves when it is connected and, where nodes run, knows who owns what. Rejects with `transport.connect_timeout`. */
export async function connect(options: ClientOptions): Promise<Client> {
  checkParts(options, ['transport']);
  const { transport, log = silentLogger, metrics = new MetricsRegistry(), callerName = '', middleware = [], ...rest } = options;
  const { clock = systemClock, random = systemRandom, env = process.env, ...given } = rest;
  const settings = callerSettings(given, env);
  const { cluster, connectTimeoutMs } = settings;
  if (typeof callerName !== 'string' || !callerName.isWellFormed() || callerName.length > callerNameMax) {
    const bounds = `a well-formed text of at most ${callerNameMax} characters`;
    throw new PerkeyError('options.invalid', `option callerName is ${safeText(callerName, 80)}, but must be ${bounds}`, {
      details: { option: 'callerName' },
    });
  }
  const logger = childLogger(log, { cluster });
  const client = new Client(settings, { cluster, clock, random, log: logger, metrics, connectTimeoutMs }, callerName, middleware);
  await client.open(transport);
  return client;
}
