import type { ActorDefinition } from '../actor/definition.ts';
import { type ActorHandle, bindHandle, bindNotifyHandle, type NotifyHandle } from '../actor/handle-classes.ts';
import type { Authorize } from '../actor/authorization.ts';
import type { ActorControl, ActorInspection, HostInspection } from '../actor/inspection.ts';
import type { AnyContract } from '../actor/method-spec.ts';
import type { TurnMiddleware } from '../actor/middleware.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { childLogger, type Logger, silentLogger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import type { GivenOptions } from '../base/options.ts';
import { type Random, systemRandom } from '../base/random.ts';
import type { Caller, CallOptions } from '../contract/calls.ts';
import type { Store } from '../contract/store.ts';
import type { ControlLink, LinkEnvironment, Transport } from '../contract/transport.ts';
import { type DeadMessage, DeadMessages } from '../durable/outbox/dead-messages.ts';
import type { Projection } from '../events/projection.ts';
import { checkCluster } from './cluster-record.ts';
import type { HostedProjections, ProjectionEndings } from './hosted-projections.ts';
import { type NodeStore, openStore, privateStoreOf, refuseDurable } from './node-store.ts';
import { checkParts } from './part-checks.ts';
import { doneWithin, pause } from '../base/pause.ts';
import { Session } from './session.ts';
import { type nodeOptions, type NodeSettings, nodeSettings } from './settings.ts';

export interface NodeParts {
  readonly transport: Transport;
  /** What this node hosts. Every node of a cluster should host the same types. */
  readonly actors: readonly ActorDefinition[];
  /** Where durable actors keep what they are: needed where one of `actors` is durable. */
  readonly store?: Store;
  /** What follows the events of `store`. Each runs on one node at a time, or with a private store on every node. */
  readonly projections?: readonly Projection[];
  /** Default: nothing is logged. */
  readonly log?: Logger;
  readonly metrics?: Metrics;
  /** Around each turn; the first is the outermost. */
  readonly middleware?: readonly TurnMiddleware[];
  /** Asked for each request to an actor of this node, before its turn. Default: all may call. */
  readonly authorize?: Authorize;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Told of each incarnation of this node as it joins; for a supervisor, which evicts it when the process has ended. */
  readonly onIncarnation?: (nodeId: string, incarnation: string) => void;
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export type NodeOptions = NodeParts & GivenOptions<typeof nodeOptions>;

export type NodeState = 'active' | 'joining' | 'draining' | 'stopped';

export interface NodeInspection {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly state: NodeState;
  readonly shardsOwned: number;
  readonly view: number;
  readonly leaseRemainingMs: number;
  readonly members: readonly { readonly nodeId: string; readonly incarnation: string; readonly state: string }[];
  readonly actors: HostInspection;
}

type Phase =
  | { readonly state: 'active'; readonly session: Session }
  | { readonly state: 'joining' }
  | { readonly state: 'draining'; readonly done: Promise<void> }
  | { readonly state: 'stopped' };

/** A process's part in the cluster: hosts actors, and calls any actor. */
export class Node implements Caller, AsyncDisposable {
  readonly nodeId: string;
  readonly metrics: Metrics;
  readonly #parts: NodeParts;
  readonly #settings: NodeSettings;
  readonly #environment: LinkEnvironment;
  readonly #control: ControlLink;
  readonly #store: NodeStore | undefined;
  readonly #stopping = new AbortController();
  readonly #projectionEndings: ProjectionEndings = new Map();
  readonly #stopped: Promise<void>;
  #resolveStopped: () => void = () => {};
  /** Settles when the attempt to join has ended, in whatever way. */
  #entering: Promise<void> = Promise.resolve();
  #phase: Phase = { state: 'joining' };

  /** Use `startNode`. */
  constructor(
    parts: NodeParts,
    settings: NodeSettings,
    environment: LinkEnvironment,
    control: ControlLink,
    nodeId: string,
    store: NodeStore | undefined,
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#environment = environment;
    this.#control = control;
    this.#store = store;
    this.nodeId = nodeId;
    this.metrics = environment.metrics;
    this.#stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
    this.#observe();
  }

  get state(): NodeState {
    return this.#phase.state;
  }

  /** '' while the node joins, or after it stopped. */
  get incarnation(): string {
    return this.#phase.state === 'active' ? this.#phase.session.incarnation : '';
  }

  /** Resolves when the node has stopped, for whatever reason. */
  get stopped(): Promise<void> {
    return this.#stopped;
  }

  actor<C extends AnyContract>(contract: C, key: string): ActorHandle<C> {
    return bindHandle(contract, key, this);
  }

  notifyActor<C extends AnyContract>(contract: C, key: string): NotifyHandle<C> {
    return bindNotifyHandle(contract, key, this);
  }

  request(type: string, method: string, key: string, input: unknown, options?: CallOptions): Promise<unknown> {
    if (this.#phase.state !== 'active') return Promise.reject(this.#unavailable());
    return this.#phase.session.router.request(type, method, key, input, options);
  }

  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void {
    if (this.#phase.state !== 'active') throw this.#unavailable();
    this.#phase.session.router.notify(type, method, key, input, options);
  }

  /** The control connection is there again. */
  controlUp(): void {
    if (this.#phase.state === 'active') this.#phase.session.controlUp();
  }

  /** The projections of this node; undefined where it has none, and while it joins. */
  get projections(): HostedProjections | undefined {
    return this.#phase.state === 'active' ? this.#phase.session.services.projections : undefined;
  }

  /** What this node knows and holds at this moment. */
  inspect(top?: number): NodeInspection | undefined {
    if (this.#phase.state !== 'active') return undefined;
    const { session } = this.#phase;
    const members = [...session.members.all()].map(({ record }) => record);
    return {
      nodeId: this.nodeId,
      incarnation: session.incarnation,
      state: this.#phase.state,
      shardsOwned: session.shardsOwned,
      view: session.members.view,
      leaseRemainingMs: session.leaseRemainingMs(),
      members: members.map(({ nodeId, incarnation, state }) => ({ nodeId, incarnation, state })),
      actors: session.host.inspect(top),
    };
  }

  /** One actor that is in memory on this very node; `undefined` when it is not. */
  inspectActor(contract: AnyContract, key: string): ActorInspection | undefined {
    return this.#phase.state === 'active' ? this.#phase.session.host.inspectActor(contract.type, key) : undefined;
  }

  /** A hold on one actor that is resident on this very node, for tests; `undefined` when it is not. */
  control(contract: AnyContract, key: string): ActorControl | undefined {
    return this.#phase.state === 'active' ? this.#phase.session.host.control(contract.type, key) : undefined;
  }

  /**
   * Messages of outboxes that were put aside, of all actors in the node's store. Rejects with `store.unavailable`, and with `store.missing` for a node
   * without a store.
   */
  async deadMessages(): Promise<readonly DeadMessage[]> {
    return this.#dead().list();
  }

  /** Forgets one that has been dealt with. Rejects as `deadMessages` does. */
  async removeDeadMessage(id: string): Promise<void> {
    return this.#dead().remove(id);
  }

  #dead(): DeadMessages {
    if (this.#store === undefined) throw new PerkeyError('store.missing', 'this node has no store');
    return new DeadMessages(this.#store.open.records, this.#settings.cluster);
  }

  /** Hands all shards over with the state of their actors, then leaves. Takes at most `drainMs` and a little more. Idempotent. */
  stop(): Promise<void> {
    if (this.#phase.state === 'draining') return this.#phase.done;
    if (this.#phase.state === 'stopped') return this.#stopped;
    const session = this.#phase.state === 'active' ? this.#phase.session : undefined;
    this.#stopping.abort();
    const done = this.#leave(session);
    this.#phase = { state: 'draining', done };
    return done;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Joins for the first time; called once, by `startNode`. Rejects as `Session.open` does; an eviction in the midst of it begins it anew. */
  join(): Promise<void> {
    return this.#enter((code) => code === 'node.suspended');
  }

  async #rejoin(): Promise<void> {
    this.#phase = { state: 'joining' };
    try {
      await this.#enter((code) => code !== 'node.duplicate_id');
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#environment.log.error({ err: error }, 'the node cannot join again; it stops');
      await this.stop();
    }
  }

  #enter(mayRetry: (code: string) => boolean): Promise<void> {
    const entering = this.#tryToEnter(mayRetry);
    this.#entering = entering.catch(() => {});
    return entering;
  }

  async #tryToEnter(mayRetry: (code: string) => boolean): Promise<void> {
    const { clock, log } = this.#environment;
    const { signal } = this.#stopping;
    for (let delayMs = 50; ; delayMs = Math.min(5_000, delayMs * 2)) {
      try {
        await this.#open();
        return;
      } catch (error) {
        if (signal.aborted || !mayRetry(error instanceof PerkeyError ? error.code : '')) throw error;
        log.warn({ err: error }, 'joining failed; it will be tried again');
      }
      await pause(clock, delayMs, signal);
    }
  }

  async #open(): Promise<void> {
    const session: Session = await Session.open({
      ...{ nodeId: this.nodeId, settings: this.#settings, control: this.#control, environment: this.#environment },
      ...{ transport: this.#parts.transport, definitions: this.#parts.actors, middleware: this.#parts.middleware ?? [] },
      privateStore: await privateStoreOf(this.#store?.open),
      store: this.#store?.open,
      authorize: this.#parts.authorize,
      projections: this.#parts.projections ?? [],
      projectionEndings: this.#projectionEndings,
      signal: this.#stopping.signal,
      onJoined: (incarnation) => this.#parts.onIncarnation?.(this.nodeId, incarnation),
      onLost: (lost) => {
        if (this.#phase.state === 'active' && this.#phase.session === lost) void this.#rejoin();
      },
    });
    if (this.#stopping.signal.aborted) {
      await session.drain();
      throw new PerkeyError('node.stopped', 'the node was stopped while it joined');
    }
    if (session.ended) throw new PerkeyError('node.suspended', 'the node was evicted as soon as it had joined');
    this.#phase = { state: 'active', session };
    this.#environment.log.info({ incarnation: session.incarnation }, 'node joined the cluster');
  }

  /** Never rejects. */
  async #leave(session: Session | undefined): Promise<void> {
    const { clock, log } = this.#environment;
    try {
      if (session) await session.drain();
      else await doneWithin(clock, this.#settings.drainMs, this.#entering);
      await this.#control.close();
      await this.#store?.open.close();
    } catch (error) {
      log.error({ err: error }, 'a part of the node could not be closed');
    }
    this.#phase = { state: 'stopped' };
    this.#resolveStopped();
  }

  #unavailable(): PerkeyError {
    return this.#phase.state === 'joining'
      ? new PerkeyError('node.suspended', 'this node is joining the cluster; try again in a moment', { retryAfterMs: 100 })
      : new PerkeyError('client.closed', 'this node is stopped or stopping');
  }

  #observe(): void {
    const { metrics } = this.#environment;
    const active = (read: (session: Session) => number): (() => number) => {
      return () => (this.#phase.state === 'active' ? read(this.#phase.session) : 0);
    };
    metrics.observedGauge(
      'perkey_cluster_shards_owned',
      'Shards that this node serves.',
      active((session) => session.shardsOwned),
    );
    metrics.observedGauge(
      'perkey_cluster_view',
      'Number of the view of members; rises with each change seen here.',
      active((session) => session.members.view),
    );
    metrics.observedGauge(
      'perkey_cluster_lease_remaining_seconds',
      'For how long this node may act without a further renewal.',
      active((session) => session.leaseRemainingMs() / 1000),
    );
    metrics.observedGauge(
      'perkey_cluster_requests_in_flight',
      'Calls of this process under way.',
      active((session) => session.router.inFlight),
    );
  }
}

/** Starts a node and joins it to the cluster; resolves when it is a member and takes shards. */
export async function startNode(options: NodeOptions): Promise<Node> {
  checkParts(options, ['transport', 'actors']);
  const { transport, actors, store, log = silentLogger, metrics = new MetricsRegistry(), middleware, ...rest } = options;
  const { authorize, projections, clock = systemClock, random = systemRandom, onIncarnation, env = process.env, ...given } = rest;
  const settings = nodeSettings(given, env);
  refuseDuplicates(actors);
  if (store === undefined) refuseDurable(actors);
  if (store === undefined && projections !== undefined && projections.length > 0) throw projectionsWithoutStore();
  const nodeId = settings.nodeId === '' ? `node-${random.hex(4)}` : settings.nodeId;
  const logger = childLogger(log, { nodeId, cluster: settings.cluster });
  const { cluster, connectTimeoutMs } = settings;
  const environment: LinkEnvironment = { cluster, clock, random, log: logger, metrics, connectTimeoutMs };
  let node: Node | undefined;
  const onState = (up: boolean): void => {
    if (up) node?.controlUp();
  };
  const control = await transport.openControl(nodeId, { onState }, environment);
  let opened: NodeStore | undefined;
  try {
    opened = store && (await openStore(store, { ...environment, nodeId, shards: settings.shards }));
    await checkCluster(control.shards, { shards: settings.shards, store: opened?.kind }, environment);
    const parts = {
      transport,
      actors,
      ...(middleware && { middleware }),
      ...(authorize && { authorize }),
      ...(projections && { projections }),
      ...(onIncarnation && { onIncarnation }),
    };
    node = new Node(parts, settings, environment, control, nodeId, opened);
    await node.join();
    return node;
  } catch (error) {
    await control.close();
    await opened?.open.close();
    throw error;
  }
}

function projectionsWithoutStore(): PerkeyError {
  return new PerkeyError('store.missing', 'the node has projections but no store to read from; give startNode the option store');
}

function refuseDuplicates(actors: readonly ActorDefinition[]): void {
  const seen = new Set<string>();
  for (const { contract } of actors) {
    if (seen.has(contract.type)) {
      throw new PerkeyError(
        'actor.duplicate_type',
        `two definitions of this node are named "${contract.type}"; give each actor type its own name`,
        {
          details: { type: contract.type },
        },
      );
    }
    seen.add(contract.type);
  }
}
