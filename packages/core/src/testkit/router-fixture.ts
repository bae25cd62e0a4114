import { Decoder } from '../base/decoder.ts';
import type { ErrorCode, PerkeyError } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { RequestReader } from '../cluster/envelope.ts';
import { RequestMetrics } from '../cluster/request-metrics.ts';
import { Router } from '../cluster/router.ts';
import type { RouterOptions, RouterSettings } from '../cluster/router-options.ts';
import { Routes } from '../cluster/routes.ts';
import type { CallOptions, Headers, InboundRequest } from '../contract/calls.ts';
import type { Address, DataLink } from '../contract/transport.ts';
import { VirtualClock } from './virtual-clock.ts';

/** A request as it left the router. */
export interface SentRequest {
  readonly to: Address;
  readonly token: number;
  readonly id: number;
  readonly shard: number;
  readonly epoch: number;
  readonly remainingMs: number;
  readonly method: string;
  readonly key: string;
  readonly input: unknown;
  readonly headers: Headers;
  readonly mark: number;
}

const silentPort = { ok: (): void => {}, error: (): void => {} };

/** A link that keeps what it is given, until the test looks. */
export class RecordingLink implements DataLink {
  readonly address: Address = 'me';
  readonly anyNode: Address = 'any';
  readonly everyClient: Address = 'clients';
  readonly frameBytesMax = 65_536;
  up = true;
  /** Thrown by the next `send`. */
  throwsNext: Error | undefined;
  readonly frames: { readonly to: Address; readonly frame: Uint8Array; readonly token: number }[] = [];
  onSend: ((to: Address, frame: Uint8Array, token: number) => void) | undefined;

  nodeAddress(nodeId: string, incarnation: string): Address {
    if (!/^[\w-]+$/.test(nodeId + incarnation)) throw new Error('no name of a node');
    return `node/${nodeId}/${incarnation}`;
  }

  peerAddress(nodeId: string, incarnation: string): Address {
    return `peer/${nodeId}/${incarnation}`;
  }

  send(to: Address, frame: Uint8Array, token: number): boolean {
    const thrown = this.throwsNext;
    this.throwsNext = undefined;
    if (thrown) throw thrown;
    if (!this.up) return false;
    if (this.onSend) this.onSend(to, frame, token);
    else this.frames.push({ to, frame, token });
    return true;
  }

  serveForeignCalls(): Promise<void> {
    return Promise.resolve();
  }

  retire(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.up = false;
    return Promise.resolve();
  }

  reset(): void {}
}

/** The requests in a frame; the last words of a target have none. */
export function requestsIn({ to, frame, token }: { to: Address; frame: Uint8Array; token: number }): SentRequest[] {
  const reader = new RequestReader(frame, new Decoder());
  const requests: SentRequest[] = [];
  while (reader.next()) {
    const { id, shard, epoch, remainingMs, mark } = reader;
    const { method, key, input, headers } = reader.request(0, silentPort);
    requests.push({ to, token, id, shard, epoch, remainingMs, method, key, input, headers, mark });
  }
  return requests;
}

/** What became of a call. */
export class Outcome {
  /** `waiting`, `ok`, or the code of the error. */
  state: 'waiting' | 'ok' | ErrorCode = 'waiting';
  value: unknown = undefined;
  error: PerkeyError | undefined = undefined;
  settledAt: number | undefined = undefined;

  constructor(promise: Promise<unknown>, clock: VirtualClock) {
    promise.then(
      (value) => {
        this.settledAt = clock.now();
        this.state = 'ok';
        this.value = value;
      },
      (error: PerkeyError) => {
        this.settledAt = clock.now();
        this.state = error.code;
        this.error = error;
      },
    );
  }

  /** The state, and for an error its verdict. */
  get told(): string {
    return this.error ? `${this.state} ${this.error.executed}` : this.state;
  }
}

export interface RouterFixtureOptions {
  readonly settings?: Partial<RouterSettings>;
  /** Default 4; 0: not known yet. */
  readonly shards?: number;
  /** The actors of this very node, whose incarnation is `1-self`. */
  readonly admit?: (shard: number, request: InboundRequest, isAwaited?: boolean) => void;
}

/** A router on virtual time and a recording link. */
export class RouterFixture {
  readonly clock: VirtualClock = new VirtualClock();
  readonly link: RecordingLink = new RecordingLink();
  readonly metrics: MetricsRegistry = new MetricsRegistry();
  readonly routes: Routes;
  readonly router: Router;
  /** The actors of this very node that leave it once their turns have ended. */
  readonly leaving: Set<string> = new Set();
  /** How often the router asked for news. */
  newsWanted = 0;

  constructor({ settings = {}, shards = 4, admit }: RouterFixtureOptions = {}) {
    const { clock, link } = this;
    this.routes = new Routes({
      addressOf: (who) => link.nodeAddress(who.nodeId, who.incarnation),
      isLocal: (who) => who.incarnation === '1-self',
      onRoute: (shard) => this.router.onRoute(shard),
      onGone: (target) => this.router.onTargetGone(target),
      onRelinked: (target) => this.router.onTargetRelinked(target),
    });
    const defaults = { requestTimeoutMs: 10_000, inFlightMax: 1_000, payloadBytesMax: 10_000, frameCountMax: 100, keyBytesMax: 100 };
    const options: RouterOptions = {
      ...{ clock, link, routes: this.routes, metrics: new RequestMetrics(this.metrics), callerName: '' },
      settings: { ...defaults, ...settings },
      local: admit && {
        cancel: () => {},
        admit,
        isLeaving: (chain) => chain.some((actor) => this.leaving.has(actor)),
        leavingEpoch: () => 7,
      },
      wantNews: () => {
        this.newsWanted += 1;
      },
    };
    this.router = new Router(options);
    if (shards > 0) this.know(shards);
  }

  know(shards: number): void {
    this.routes.setShards(shards);
    this.router.onShards();
  }

  /** Every shard belongs to the node from now on. */
  own(nodeId: string, epoch: number, incarnation: string = `1-${nodeId}`): void {
    for (let shard = 0; shard < this.routes.shards; shard += 1) this.routes.learn({ shard, nodeId, incarnation, epoch });
  }

  gone(nodeId: string): void {
    this.routes.markGone({ nodeId, incarnation: `1-${nodeId}` });
  }

  call(key: string, input?: unknown, options?: CallOptions): Outcome {
    return new Outcome(this.router.request('t', 'm', key, input, options), this.clock);
  }

  /** Ends this turn of the event loop, and gives what was sent in it and was not looked at yet. */
  async sent(): Promise<SentRequest[]> {
    await this.clock.settle();
    return this.link.frames.splice(0).flatMap(requestsIn);
  }

  /** The only request that was sent. */
  async sentOne(): Promise<SentRequest> {
    const all = await this.sent();
    if (all.length !== 1) throw new Error(`${all.length} requests were sent, not one`);
    return all[0] as SentRequest;
  }

  async linkDown(): Promise<void> {
    this.link.up = false;
    this.router.onLinkDown();
    await this.clock.settle();
  }

  async linkUp(): Promise<void> {
    this.link.up = true;
    this.router.onLinkUp();
    await this.clock.settle();
  }

  /** Keys that share a shard, the first of them given. */
  keysBeside(first: string, count: number): string[] {
    const shards = this.routes.shards;
    const keys = [first];
    for (let i = 0; keys.length < count; i += 1) if (shardOf(`k${i}`, shards) === shardOf(first, shards)) keys.push(`k${i}`);
    return keys;
  }
}
