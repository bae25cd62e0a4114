import { ActorHost } from '../actor/actor-host.ts';
import type { ActorDefinition } from '../actor/definition.ts';
import type { TurnMiddleware } from '../actor/middleware.ts';
import { childLogger } from '../base/log.ts';
import type { CarriedActor } from '../contract/calls.ts';
import type { ControlLink, DataLink, LinkEnvironment, Transport } from '../contract/transport.ts';
import { type ClusterMetrics, clusterMetrics } from './cluster-metrics.ts';
import { Evictor } from './evictor.ts';
import { controlLimits, encodeControlFrame, frameKind } from './frame.ts';
import { FrameBatcher } from './frame-batcher.ts';
import { encodeActor, parseAck, parsePart, TransferReceiver, TransferSender } from './handoff.ts';
import { Inbound } from './inbound.ts';
import { join } from './join.ts';
import type { Lease } from './lease.ts';
import { Members } from './members.ts';
import { changeNews, hostedTypes, wholeNews } from './news.ts';
import { type Incarnated, type MemberRecord, protocolVersion, type ShardRecord } from './records.ts';
import { RequestMetrics } from './request-metrics.ts';
import { Router } from './router.ts';
import { Routes } from './routes.ts';
import type { NodeSettings } from './settings.ts';
import { ShardManager } from './shard-manager.ts';
import { ShardTable } from './shard-table.ts';

export interface SessionOptions {
  readonly nodeId: string;
  readonly settings: NodeSettings;
  readonly transport: Transport;
  readonly control: ControlLink;
  readonly environment: LinkEnvironment;
  readonly definitions: readonly ActorDefinition[];
  readonly middleware: readonly TurnMiddleware[];
  readonly signal: AbortSignal;
  /** The lease is held: this incarnation exists from now on. */
  readonly onJoined: (incarnation: string) => void;
  /** The incarnation was evicted: it can never act again. Called once, not after `stop`. */
  readonly onLost: () => void;
}

/** One incarnation of a node, from its lease to its end. */
export class Session {
  readonly #o: SessionOptions;
  readonly #metrics: ClusterMetrics;
  readonly #requestMetrics: RequestMetrics;
  readonly #members: Members;
  readonly #table: ShardTable;
  readonly #watches: { stop(): void }[] = [];
  readonly #receiver = new TransferReceiver();
  readonly #newOwners: ShardRecord[] = [];
  readonly #formerOwners: Incarnated[] = [];
  #lease!: Lease<MemberRecord>;
  #self!: Incarnated;
  #link!: DataLink;
  #routes!: Routes;
  #router!: Router;
  #host!: ActorHost;
  #inbound!: Inbound;
  #replies!: FrameBatcher;
  #sender!: TransferSender;
  #manager!: ShardManager;
  #evictor!: Evictor;
  #ended = false;
  #retired = false;

  private constructor(options: SessionOptions) {
    this.#o = options;
    const { metrics, clock } = options.environment;
    this.#metrics = clusterMetrics(metrics);
    this.#requestMetrics = new RequestMetrics(metrics);
    this.#members = new Members(clock, () => this.#membersChanged());
    this.#table = new ShardTable(
      options.settings.shards,
      ({ record }) => this.#shardChanged(record),
      () => this.#manager.schedule(),
    );
  }

  /** Joins the cluster: takes the lease, connects, learns who is there, then serves. */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new Session(options);
    try {
      await session.#join();
      await session.#connect();
      session.#assemble();
      await session.#serve();
    } catch (error) {
      await session.#end();
      throw error;
    }
    return session;
  }

  get incarnation(): string {
    return this.#self.incarnation;
  }

  get router(): Router {
    return this.#router;
  }

  get host(): ActorHost {
    return this.#host;
  }

  get members(): Members {
    return this.#members;
  }

  get routes(): Routes {
    return this.#routes;
  }

  get shardsOwned(): number {
    return this.#manager.owned;
  }

  leaseRemainingMs(): number {
    return this.#lease.remainingMs(this.#o.environment.clock.now());
  }

  /** Hands every shard over, says goodbye, and closes. Bounded by `drainMs`. */
  async drain(): Promise<void> {
    const { clock, log } = this.#o.environment;
    const { drainMs } = this.#o.settings;
    const limit = new Promise<'late'>((resolve) => {
      clock.setTimer(drainMs, () => resolve('late'));
    });
    void this.#lease.update({ state: 'draining' });
    const drained = await Promise.race([this.#manager.drain(), limit]);
    if (drained === 'late') log.warn({ shards: this.#manager.owned }, 'not every shard could be handed over within drainMs');
    await this.#host.stop();
    await this.#retire();
    const goodbye = new Promise<void>((resolve) => {
      clock.setTimer(1_000, resolve);
    });
    await Promise.race([this.#lease.update({ state: 'gone' }), goodbye]);
    await this.#end();
  }

  /**
   * Answers the last requests before others learn that this incarnation is gone, so that nobody has to take them for lost. None of these
   * answers comes from memory that another node may own: every shard was handed over, so they need no lease.
   */
  async #retire(): Promise<void> {
    await this.#link.retire();
    this.#retired = this.#manager.owned === 0;
    this.#replies.flush();
    this.#router.close();
    await this.#link.close();
  }

  async #join(): Promise<void> {
    const { environment, settings, control, definitions, nodeId } = this.#o;
    const { clock, random, log } = environment;
    const types = Object.fromEntries(definitions.map(({ contract }) => [contract.type, contract.version]));
    const describe = (): Omit<MemberRecord, 'incarnation' | 'n'> => ({
      nodeId,
      inbox: '',
      weight: settings.weight,
      types,
      state: 'joining',
      protocol: protocolVersion,
    });
    const events = { onLost: () => this.#lost(), onHeld: () => this.#held(), onLapsed: () => this.#lapsed() };
    const { marginMs, onDuplicateId } = settings;
    this.#lease = await join({
      ...{ store: control.members, clock, random, log, times: settings, marginMs, onDuplicateId },
      ...{ describe, events, signal: this.#o.signal },
    });
    this.#self = { nodeId, incarnation: this.#lease.body.incarnation };
    this.#o.onJoined(this.#self.incarnation);
  }

  async #connect(): Promise<void> {
    const { transport, environment } = this.#o;
    const events = {
      onFrame: (frame: Uint8Array, from: string, peer: boolean): void => this.#inbound?.take(frame, from, peer),
      onUndeliverable: (token: number): void => this.#router?.onUndeliverable(token),
      onState: (up: boolean): void => this.#linkChanged(up),
    };
    this.#link = await transport.openData({ kind: 'node', ...this.#self }, events, environment);
  }

  #assemble(): void {
    const { environment, settings, control, definitions, middleware, nodeId } = this.#o;
    const { clock, random, metrics, log } = environment;
    const link = this.#link;
    const lease = this.#lease;
    this.#routes = new Routes({
      addressOf: (who) => link.nodeAddress(who.nodeId, who.incarnation),
      isLocal: (who) => who.incarnation === this.#self.incarnation,
      onRoute: (shard) => this.#router.onRoute(shard),
      onGone: (target) => this.#router.onTargetGone(target),
    });
    this.#routes.setShards(settings.shards);
    const guard = { mayAct: (now: number) => lease.mayAct(now) };
    this.#host = new ActorHost({
      ...{ nodeId, definitions, settings, middleware, guard, clock, random, metrics },
      caller: () => this.#router,
      log: childLogger(log, { incarnation: this.#self.incarnation }),
    });
    this.#router = new Router({
      ...{ clock, settings, link, routes: this.#routes, metrics: this.#requestMetrics },
      callerName: '',
      local: this.#host,
      wantNews: () => {},
    });
    this.#router.onShards();
    for (const { contract } of definitions) this.#requestMetrics.declare(contract.type, Object.keys(contract.methods));
    this.#replies = new FrameBatcher({
      ...{ kind: frameKind.reply, clock, frameBytesMax: link.frameBytesMax, frameCountMax: settings.frameCountMax },
      send: (to, frame) => {
        link.send(to, frame, -1);
      },
      mayFlush: () => link.up && (this.#retired || lease.mayAct(clock.now())),
    });
    this.#assembleOwnership(control, guard);
  }

  #assembleOwnership(control: ControlLink, guard: { mayAct(now: number): boolean }): void {
    const { environment, settings } = this.#o;
    const { clock, random, log, metrics } = environment;
    const link = this.#link;
    this.#sender = new TransferSender({
      ...{ clock, link, self: this.#self, partTimeoutMs: settings.transferTimeoutMs },
      partBytesMax: Math.floor(link.frameBytesMax / 2),
    });
    this.#manager = new ShardManager({
      ...{ self: this.#self, store: control.shards, table: this.#table, members: this.#members, lease: guard, host: this.#host },
      ...{ settings, clock, log, metrics: this.#metrics },
      transfers: {
        send: (to, shard, transfer, actors) => this.#transfer(to, shard, transfer, actors),
        take: (name) => this.#receiver.take(name),
      },
      newTransferId: () => random.hex(8),
      onOpened: (record, before) => this.#opened(record, before),
    });
    this.#evictor = new Evictor({
      ...{ store: control.members, members: this.#members, clock, log, evictions: this.#metrics.evictions, self: this.#self.nodeId },
      patienceMs: settings.leaseMs + settings.marginMs,
      checkMs: settings.heartbeatMs / 2,
      leaseHeldSince: () => this.#lease.heldSince(clock.now()),
      orphans: () => (this.#members.synced ? this.#table.owners().filter((owner) => !this.#members.get(owner.nodeId)) : []),
    });
    this.#inbound = new Inbound({
      ...{ clock, host: this.#host, router: this.#router, replies: this.#replies, table: this.#table, metrics, log },
      epochOf: (shard) => this.#manager.epochOf(shard),
      answerAsk: (from) => this.#answerAsk(from),
      onTransfer: (value, from) => this.#onTransfer(value, from),
      onTransferAck: (value) => {
        const ack = parseAck(value);
        if (ack) this.#sender.onAck(ack);
      },
    });
  }

  async #serve(): Promise<void> {
    const { control, definitions, settings, nodeId } = this.#o;
    this.#watches.push(await control.members.watch(this.#members));
    this.#watches.push(await control.shards.watch(this.#table));
    const types = definitions.map(({ contract }) => ({ type: contract.type, methods: Object.keys(contract.methods) }));
    await this.#link.serveForeignCalls({ nodeId, version: '0.1.0', types }, (call) => {
      const { timeoutMs, headers, idempotencyKey } = call;
      return this.#router.request(call.type, call.method, call.key, call.input, {
        ...{ headers, idempotencyKey },
        timeoutMs: timeoutMs === undefined ? undefined : Math.min(Math.max(1, timeoutMs), settings.requestTimeoutMs * 10),
      });
    });
    await this.#lease.update({ state: 'active', inbox: this.#link.nodeAddress(nodeId, this.#self.incarnation) });
    this.#manager.membersChanged();
  }

  /** Called from the watch, and before the shard manager exists where records come early. */
  #membersChanged(): void {
    if (this.#ended || !this.#manager) return;
    const types = hostedTypes(this.#members);
    this.#routes.setTypes(types.size > 0 ? types : undefined);
    this.#routes.sweepGone((who) => this.#members.isGone(who));
    this.#receiver.sweep(
      (who) => this.#members.isGone(who),
      (transfer, shard) => this.#table.get(shard)?.record.transfer === transfer,
    );
    this.#manager.membersChanged();
  }

  #shardChanged(record: ShardRecord): void {
    if (this.#ended) return;
    if (record.state !== 'free') this.#routes.learn(record);
    this.#manager.schedule();
  }

  #opened(record: ShardRecord, before: ShardRecord | undefined): void {
    if (this.#newOwners.length === 0) this.#o.environment.clock.defer(() => this.#announce());
    this.#newOwners.push(record);
    if (before) this.#formerOwners.push(before);
  }

  /** Tells the clients, once for all the shards that were opened in this turn of the event loop. */
  #announce(): void {
    const news = changeNews(this.#members, this.#table.shards, this.#newOwners.splice(0), this.#formerOwners.splice(0));
    if (!this.#ended)
      this.#link.send(this.#link.everyClient, encodeControlFrame(frameKind.topology, news, this.#link.frameBytesMax, controlLimits), -1);
  }

  #answerAsk(from: string): void {
    if (!this.#members.synced || !this.#table.synced || from === '') return;
    this.#link.send(
      from,
      encodeControlFrame(frameKind.topology, wholeNews(this.#members, this.#table), this.#link.frameBytesMax, controlLimits),
      -1,
    );
  }

  async #transfer(to: Incarnated, shard: number, transfer: string, actors: readonly CarriedActor[]): Promise<boolean> {
    const encoded: Uint8Array[] = [];
    for (const actor of actors) {
      try {
        encoded.push(encodeActor(actor));
      } catch (error) {
        this.#metrics.statesLost.inc();
        this.#o.environment.log.error({ type: actor.type, err: error }, 'the state of an actor cannot travel and is lost with this move');
      }
    }
    if (encoded.length === 0) return false;
    await this.#sender.send(this.#link.peerAddress(to.nodeId, to.incarnation), shard, transfer, encoded);
    return true;
  }

  #onTransfer(value: unknown, from: string): void {
    const part = parsePart(value);
    if (!part || from === '') return;
    this.#link.send(from, encodeControlFrame(frameKind.handoffAck, this.#receiver.receive(part)), -1);
  }

  #linkChanged(up: boolean): void {
    if (!this.#router || this.#ended) return;
    if (!up) this.#router.onLinkDown();
    else {
      this.#router.onLinkUp();
      this.#replies.flush();
    }
  }

  #held(): void {
    if (!this.#host || this.#ended) return;
    this.#o.environment.log.info({}, 'the lease holds again; this node goes on');
    this.#host.resume();
    this.#replies.flush();
    this.#manager.schedule();
  }

  #lapsed(): void {
    this.#metrics.leaseLapses.inc();
    this.#o.environment.log.warn({}, 'the lease could not be renewed in time; this node pauses until it can');
    this.#o.control.reset();
  }

  #lost(): void {
    if (this.#ended) return;
    this.#o.environment.log.warn(
      { incarnation: this.#self?.incarnation },
      'this incarnation was evicted; the node joins again as a new one',
    );
    this.#link?.reset();
    void this.#end();
    this.#o.onLost();
  }

  async #end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#lease?.stop();
    this.#evictor?.stop();
    this.#manager?.stop();
    this.#router?.close();
    for (const watch of this.#watches) watch.stop();
    await this.#host?.stop();
    await this.#link?.close();
  }
}
