import { PerkeyError, safeText } from '@perkey/core';
import type { ControlLink, ControlLinkEvents, LinkEnvironment, Publish, RecordStore, Timer } from '@perkey/core';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { ManagedConnection } from './connection.ts';
import type { LiveConnection } from './connection.ts';
import type { ResolvedNats } from './options.ts';
import { Publisher } from './publisher.ts';
import { NatsRecordStore } from './record-store.ts';
import { StoreApi, faultText, jsErrors, unavailable } from './store-api.ts';
import type { JsFault } from './store-api.ts';
import { isToken, subjectsOf } from './subjects.ts';

const retryMs = 250;

export class NatsControlLink implements ControlLink {
  readonly members: RecordStore;
  readonly shards: RecordStore;
  readonly publish: Publish;
  readonly #events: ControlLinkEvents;
  readonly #environment: LinkEnvironment;
  readonly #nats: ResolvedNats;
  readonly #api: StoreApi;
  readonly #buckets: readonly string[];
  readonly #stores: readonly NatsRecordStore[];
  /** Buckets of which it was told once what differs. */
  readonly #compared = new Set<string>();
  #connection: ManagedConnection | undefined;
  #up = false;
  #opened = false;
  #closed = false;
  #repair: Timer | undefined;

  private constructor(events: ControlLinkEvents, environment: LinkEnvironment, nats: ResolvedNats) {
    const subjects = subjectsOf(environment.cluster);
    this.#events = events;
    this.#environment = environment;
    this.#nats = nats;
    this.#api = new StoreApi(nats.limits.storeTimeoutMs);
    const publisher = new Publisher(this.#api, environment.clock);
    this.publish = (publication) => publisher.publish(publication);
    this.#buckets = [subjects.membersBucket, subjects.shardsBucket];
    const around = {
      environment,
      inboxPrefix: nats.limits.inboxPrefix,
      guard: (place: string, run: () => void): void => this.#connection?.guard(place, run),
    };
    const store = (bucket: string): NatsRecordStore => new NatsRecordStore(bucket, this.#api, around, () => this.#repairLater());
    const [members, shards] = [store(subjects.membersBucket), store(subjects.shardsBucket)];
    this.members = members;
    this.shards = shards;
    this.#stores = [members, shards];
  }

  static async open(nodeId: string, events: ControlLinkEvents, environment: LinkEnvironment, nats: ResolvedNats): Promise<NatsControlLink> {
    if (!isToken(nodeId))
      throw new PerkeyError('options.invalid', 'nodeId is not 1 to 64 of A-Z a-z 0-9 _ -', { details: { option: 'nodeId' } });
    const link = new NatsControlLink(events, environment, nats);
    await ManagedConnection.open('control', `${nats.name} ${environment.cluster} control ${nodeId}`, nats, environment, {
      prepare: (live, connection) => link.#prepare(live, connection),
      onUp: () => link.#onUp(),
      onDown: () => link.#onDown(),
    });
    link.#opened = true;
    return link;
  }

  get up(): boolean {
    return this.#up;
  }

  reset(): void {
    this.#connection?.reset('its owner asked for a new one');
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#suspend();
      this.#connection?.close();
    }
    return Promise.resolve();
  }

  async #prepare(live: LiveConnection, connection: ManagedConnection): Promise<void> {
    this.#connection = connection;
    this.#api.live = live;
    if (!this.#opened) await this.#ensureBuckets(live);
  }

  #onUp(): void {
    this.#up = true;
    for (const store of this.#stores) store.resume();
    this.#tellState();
    // A server that lost its data has no buckets either; until they are there again, every request says "unavailable".
    if (this.#opened) this.#repairLater();
  }

  #onDown(): void {
    const wasUp = this.#up;
    this.#suspend();
    if (wasUp) this.#tellState();
  }

  #suspend(): void {
    this.#up = false;
    this.#api.live = undefined;
    this.#repair?.cancel();
    this.#repair = undefined;
    for (const store of this.#stores) store.suspend();
  }

  #tellState(): void {
    this.#connection?.guard('onState', () => this.#events.onState(this.#up));
  }

  #repairLater(delayMs: number = 0): void {
    const { live } = this.#api;
    if (live === undefined || this.#repair !== undefined || this.#closed) return;
    const timer = this.#environment.clock.setTimer(delayMs, () => {
      void this.#repairNow(live, timer);
    });
    this.#repair = timer;
  }

  async #repairNow(live: LiveConnection, timer: Timer): Promise<void> {
    let delayMs: number | undefined;
    try {
      await this.#ensureBuckets(live);
    } catch (error) {
      this.#environment.log.debug({ reason: safeText(error) }, 'the buckets could not be checked yet');
      delayMs = retryMs;
    }
    if (this.#repair !== timer) return;
    this.#repair = undefined;
    if (delayMs !== undefined) this.#repairLater(delayMs);
  }

  /** Rejects with `transport.no_jetstream` where there is none, `store.unavailable` where it did not answer. */
  async #ensureBuckets(live: LiveConnection): Promise<void> {
    for (const bucket of this.#buckets) await this.#ensureBucket(live, bucket);
  }

  async #ensureBucket(live: LiveConnection, bucket: string): Promise<void> {
    const found = await this.#bucketConfig(live, bucket);
    if (found === undefined) await this.#createBucket(live, bucket);
    else this.#compare(bucket, found);
  }

  async #bucketConfig(live: LiveConnection, bucket: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const enabled = live.nats.info?.jetstream === true;
    const reply = await this.#api.request(`$JS.API.STREAM.INFO.KV_${bucket}`, '').catch((error: unknown) => {
      // Without JetStream nobody listens to its API at all; with it, silence means that it has no leader yet.
      if (!enabled && error instanceof PerkeyError && error.code === 'store.unavailable') throw this.#noJetStream('', error);
      throw error;
    });
    if (reply.error === undefined) return reply['config'] as Readonly<Record<string, unknown>>;
    if (reply.error.err_code === jsErrors.streamNotFound) return undefined;
    throw this.#refusal(reply.error);
  }

  #refusal(fault: JsFault): PerkeyError {
    if (fault.err_code === jsErrors.notEnabled) return this.#noJetStream('', undefined);
    if (fault.err_code === jsErrors.notEnabledForAccount) return this.#noJetStream(' for this account', undefined);
    return unavailable(faultText(fault));
  }

  #noJetStream(where: string, cause: unknown): PerkeyError {
    const what = `NATS at ${this.#connection?.target ?? 'the server'} runs without JetStream${where}; start it with the flag -js (or jetstream {} in its configuration)`;
    return new PerkeyError('transport.no_jetstream', what, cause === undefined ? {} : { cause });
  }

  async #createBucket(live: LiveConnection, bucket: string): Promise<void> {
    const { replicas, historyMax, storeTimeoutMs } = this.#nats.limits;
    const kvm = new Kvm(jetstream(live.nats, { timeout: storeTimeoutMs * 2 }));
    try {
      await kvm.create(bucket, { history: historyMax, replicas, allow_direct: false });
      this.#environment.log.info({ bucket, replicas }, 'created the bucket');
    } catch (error) {
      if ((error as { code?: unknown }).code === jsErrors.copiesNeedCluster) {
        const advice = 'set replicas to 1, or join several servers to a cluster';
        throw new PerkeyError('transport.refused', `NATS refused to create the bucket ${bucket}: ${safeText(error)}; ${advice}`, {
          cause: error,
        });
      }
      // Somebody else may have created it at the same moment.
      const found = await this.#bucketConfig(live, bucket).catch(() => undefined);
      if (found === undefined) throw unavailable(`the bucket ${bucket} could not be created: ${safeText(error)}`, error);
      this.#compare(bucket, found);
    }
  }

  /** An existing bucket is used as it is; what differs from the options is told. */
  #compare(bucket: string, config: Readonly<Record<string, unknown>>): void {
    const { log } = this.#environment;
    const { replicas } = this.#nats.limits;
    if (this.#compared.has(bucket)) return;
    this.#compared.add(bucket);
    const actual = {
      replicas: config['num_replicas'],
      storage: config['storage'],
      maxAge: config['max_age'],
      allowDirect: config['allow_direct'],
    };
    if (actual.replicas !== replicas)
      log.warn({ bucket, wanted: replicas, actual: actual.replicas }, 'the bucket has another number of replicas; it is left so');
    if (actual.storage !== 'file') log.warn({ bucket }, 'the bucket is not on file storage: a restart of NATS loses it');
    if (Number(actual.maxAge ?? 0) > 0)
      log.error({ bucket }, 'the bucket has a TTL: records expire by the clock of the server, which the lease protocol does not expect');
  }
}
