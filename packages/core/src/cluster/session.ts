import { ActorHost } from '../actor/actor-host.ts';
import { PerkeyError } from '../base/errors.ts';
import { childLogger } from '../base/log.ts';
import type { Guard } from '../contract/calls.ts';
import type { DataLink, Via } from '../contract/transport.ts';
import { type ClusterMetrics, clusterMetrics } from './cluster-metrics.ts';
import { foreignAnswer } from './foreign-answer.ts';
import { frameKind } from './frame.ts';
import { FrameBatcher } from './frame-batcher.ts';
import { Inbound } from './inbound.ts';
import { join } from './join.ts';
import type { Lease } from './lease.ts';
import { Members } from './members.ts';
import { hostedTypes } from './news.ts';
import { nodeDurability } from './node-durability.ts';
import { type OwnershipParts, ownershipParts } from './ownership-parts.ts';
import { doneWithin } from '../base/pause.ts';
import { type Incarnated, linksOf, type MemberRecord, protocolVersion, sameIncarnation, type ShardRecord } from './records.ts';
import { RequestMetrics } from './request-metrics.ts';
import { Router } from './router.ts';
import { Routes } from './routes.ts';
import { sendQuietly } from './send-quietly.ts';
import type { SessionOptions } from './session-options.ts';
import { SessionServices } from './session-services.ts';
import { ShardTable } from './shard-table.ts';

/** How long a node that leaves waits for the store to take that it is gone. */
const goodbyeMs = 1_000;

/** One incarnation of a node, from its lease to its end. */
export class Session {
  readonly #o: SessionOptions;
  readonly #metrics: ClusterMetrics;
  readonly #requestMetrics: RequestMetrics;
  readonly #members: Members;
  readonly #table: ShardTable;
  readonly #watches: { stop(): void }[] = [];
  readonly #tableSynced = Promise.withResolvers<void>();
  #lease!: Lease<MemberRecord>;
  #self!: Incarnated;
  #link!: DataLink;
  #routes!: Routes;
  #router!: Router;
  #host!: ActorHost;
  #inbound!: Inbound;
  #replies!: FrameBatcher;
  #ownership!: OwnershipParts;
  #services!: SessionServices;
  #isOpen = false;
  #ended = false;
  #isDrained = false;
  #isRetired = false;

  private constructor(options: SessionOptions) {
    this.#o = options;
    const { metrics, clock } = options.environment;
    this.#metrics = clusterMetrics(metrics);
    this.#requestMetrics = new RequestMetrics(metrics);
    this.#members = new Members(clock, () => this.#membersChanged());
    this.#table = new ShardTable(
      options.settings.shards,
      ({ record }) => this.#shardChanged(record),
      () => {
        this.#tableSynced.resolve();
        this.#ownership.manager.schedule();
      },
    );
  }

  /**
   * Joins the cluster: takes the lease, connects, learns who is there, then serves. Rejects with `node.suspended` when it was evicted meanwhile,
   * with `node.stopped` when the signal aborted.
   */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new Session(options);
    try {
      await session.#join();
      await session.#connect();
      session.#assemble();
      await session.#serve();
    } catch (error) {
      await session.#abandon();
      throw error;
    }
    session.#isOpen = true;
    return session;
  }

  get incarnation(): string {
    return this.#self.incarnation;
  }

  /** Evicted, or left. */
  get ended(): boolean {
    return this.#ended;
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

  get services(): SessionServices {
    return this.#services;
  }

  get routes(): Routes {
    return this.#routes;
  }

  get shardsOwned(): number {
    return this.#ownership.manager.owned;
  }

  leaseRemainingMs(): number {
    return this.#lease.remainingMs(this.#o.environment.clock.now());
  }

  /** Hands every shard over, waits for the last one-way messages, says goodbye, and closes. Bounded by `drainMs`. */
  async drain(): Promise<void> {
    const { clock, log } = this.#o.environment;
    const endsAt = clock.now() + this.#o.settings.drainMs;
    void this.#lease.update({ state: 'draining' });
    if (!(await doneWithin(clock, this.#o.settings.drainMs, this.#ownership.manager.drain()))) {
      log.warn({ shards: this.#ownership.manager.owned }, 'not every shard could be handed over within drainMs');
      this.#ownership.manager.stop();
    } else this.#isDrained = true;
    try {
      await this.#host.stop();
      if (this.#members.anyActiveBut(this.#self)) await this.#router.lastOneWays(endsAt - clock.now());
      await this.#retire();
      await this.#sayGoodbye();
    } finally {
      await this.#end();
    }
  }

  /**
   * Answers the last requests before others learn that this incarnation is gone, so that nobody has to take them for lost. None of these
   * answers comes from memory that another node may own: every shard was handed over, so they need no lease.
   */
  async #retire(): Promise<void> {
    await this.#link.retire();
    this.#inbound.stop();
    this.#isRetired = this.#isDrained;
    this.#replies.flush();
    this.#router.close();
    await this.#link.close();
  }

  async #sayGoodbye(): Promise<void> {
    await doneWithin(this.#o.environment.clock, goodbyeMs, this.#lease.update({ state: 'gone' }));
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
      store: this.#o.privateStore?.id,
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
      onFrame: (frame: Uint8Array, from: string, via: Via): void => this.#inbound?.take(frame, from, via),
      onUndeliverable: (token: number): void => {
        if (!this.#ownership?.transfers.onUndeliverable(token)) this.#router?.onUndeliverable(token);
      },
      onState: (up: boolean): void => this.#linkChanged(up),
    };
    this.#link = await transport.openData({ kind: 'node', ...this.#self }, events, environment);
    this.#mustGoOn();
  }

  /** To be asked after each wait while this session opens. */
  #mustGoOn(): void {
    if (this.#ended) throw new PerkeyError('node.suspended', 'the node was evicted while it joined');
    if (this.#o.signal.aborted) throw new PerkeyError('node.stopped', 'the node was stopped while it joined');
  }

  #assemble(): void {
    const { environment, settings, definitions, middleware, nodeId } = this.#o;
    const { clock, random, metrics, log } = environment;
    const link = this.#link;
    const lease = this.#lease;
    this.#routes = new Routes({
      // What comes by this address comes from a node, and is believed when it says for whom.
      addressOf: (who) => link.peerAddress(who.nodeId, who.incarnation),
      isLocal: (who) => who.incarnation === this.#self.incarnation,
      onRoute: (shard) => this.#router.onRoute(shard),
      onGone: (target) => this.#router.onTargetGone(target),
      onRelinked: (target) => this.#router.onTargetRelinked(target),
    });
    this.#routes.setShards(settings.shards);
    const guard: Guard = { mayAct: (now: number) => lease.mayAct(now) };
    this.#services = new SessionServices(this.#o, guard, {
      host: () => this.#host,
      caller: () => this.#router,
      publish: this.#o.control.publish,
      // Not in the turn that found it: the shard waits for that turn.
      onFenced: (shard, epoch) => clock.defer(() => this.#ownership.manager.renew(shard, epoch)),
    });
    this.#host = new ActorHost({
      ...{ nodeId, definitions, settings, middleware, authorize: this.#o.authorize, guard, clock, random, metrics },
      caller: () => this.#router,
      durability: nodeDurability(this.#o, this.#self, guard, () => this.#ownership, this.#services),
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
      send: (to, frame) => sendQuietly(link, log, to, frame),
      mayFlush: () => link.up && (this.#isRetired || lease.mayAct(clock.now())),
    });
    this.#assembleOwnership(guard);
  }

  #assembleOwnership(guard: Guard): void {
    const { environment, settings, control, privateStore } = this.#o;
    const { clock, metrics, log } = environment;
    this.#ownership = ownershipParts({
      ...{ environment, settings, control, link: this.#link, self: this.#self, privateStore },
      ...{
        members: this.#members,
        table: this.#table,
        guard,
        host: this.#services.beside(this.#host),
        metrics: this.#metrics,
        lease: this.#lease,
      },
      leaseHeldSince: () => this.#lease.heldSince(clock.now()),
      onOpened: (record, before) => this.#opened(record, before),
    });
    const { manager, announcer, transfers } = this.#ownership;
    this.#inbound = new Inbound({
      ...{ clock, host: this.#host, router: this.#router, replies: this.#replies, table: this.#table, metrics, log, self: this.#self },
      epochOf: (shard) => manager.epochOf(shard),
      answerAsk: (from) => announcer.answerAsk(from),
      onTransfer: (value, from) => transfers.onPart(value, from),
      onTransferAck: (value) => transfers.onAck(value),
    });
  }

  async #serve(): Promise<void> {
    const { control, definitions, settings, nodeId } = this.#o;
    this.#watches.push(await control.members.watch(this.#members));
    this.#mustGoOn();
    this.#watches.push(await control.shards.watch(this.#table));
    this.#mustGoOn();
    await this.#bringHome();
    const types = definitions.map(({ contract }) => ({ type: contract.type, methods: Object.keys(contract.methods) }));
    await this.#link.serveForeignCalls(
      { nodeId, version: '0.1.0', types },
      foreignAnswer(() => this.#router, settings.requestTimeoutMs),
    );
    this.#mustGoOn();
    await this.#lease.update({ state: 'active', inbox: this.#link.nodeAddress(nodeId, this.#self.incarnation) });
    this.#mustGoOn();
    this.#ownership.manager.membersChanged();
    this.#services.begin();
  }

  /** What the private store holds belongs to it before this node takes any shard. */
  async #bringHome(): Promise<void> {
    if (this.#o.privateStore === undefined) return;
    await this.#tableSynced.promise;
    await this.#ownership.homes.claimHeld(() => !this.#ended && !this.#o.signal.aborted);
    this.#mustGoOn();
  }

  /** Called from the watch, and before the shard manager exists where records come early. */
  #membersChanged(): void {
    if (this.#ended || !this.#ownership) return;
    this.#ownership.announcer.changed();
    const types = hostedTypes(this.#members);
    this.#routes.setTypes(types.size > 0 ? types : undefined);
    this.#routes.sweepGone((who) => this.#members.isGone(who));
    for (const { record } of this.#members.all()) this.#routes.noteLinks(record, linksOf(record));
    this.#ownership.transfers.sweep(
      (who) => this.#members.isGone(who),
      (transfer, shard, epoch) => this.#table.mayName(transfer, shard, epoch),
    );
    this.#ownership.manager.membersChanged();
  }

  #shardChanged(record: ShardRecord): void {
    if (this.#ended) return;
    this.#ownership.announcer.changed();
    // Of its own shards this node hears here before the claim is answered, and opens them only then.
    if (record.state !== 'free' && !sameIncarnation(record, this.#self)) {
      this.#routes.learn(record);
      if (this.#members.isGone(record)) this.#routes.markGone(record);
    }
    this.#ownership.manager.schedule();
  }

  #opened(record: ShardRecord, before: ShardRecord | undefined): void {
    this.#inbound.opened(record.shard, record.epoch);
    this.#routes.learn(record);
    this.#ownership.announcer.opened(record, before);
  }

  #linkChanged(up: boolean): void {
    if (!this.#router || this.#ended) return;
    if (!up) this.#router.onLinkDown();
    else {
      this.#router.onLinkUp();
      this.#replies.flush();
      this.#ownership.relinks.up();
    }
  }

  /** The control connection is there again: what could not be renewed on the old one is renewed at once. */
  controlUp(): void {
    if (!this.#ended) this.#lease?.renewNow();
  }

  #held(): void {
    if (!this.#host || this.#ended) return;
    this.#o.environment.log.info({}, 'the lease holds again; this node goes on');
    this.#host.resume();
    this.#replies.flush();
    this.#ownership.relinks.tell();
    this.#ownership.manager.schedule();
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
    if (this.#isOpen) this.#o.onLost(this);
  }

  /** It did not come to serve: others need not wait for its lease to end. */
  async #abandon(): Promise<void> {
    if (this.#lease && !this.#ended) await this.#sayGoodbye();
    await this.#end();
  }

  /** Never rejects. Closes also what came to be after an earlier end. */
  async #end(): Promise<void> {
    this.#ended = true;
    this.#lease?.stop();
    this.#ownership?.evictor.stop();
    this.#ownership?.manager.stop();
    this.#inbound?.stop();
    this.#router?.close();
    this.#ownership?.announcer.stop();
    for (const watch of this.#watches.splice(0)) watch.stop();
    try {
      await Promise.all([this.#services?.stop(), this.#host?.stop()]);
      await this.#link?.close();
    } catch (error) {
      this.#o.environment.log.error({ err: error }, 'a part of the node could not be closed');
    }
  }
}
