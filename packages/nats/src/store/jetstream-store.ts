import { PerkeyError } from '@perkey/core';
import type { Durability, OpenStore, StoreEnvironment } from '@perkey/core';
import { ManagedConnection } from '../connection.ts';
import type { LiveConnection } from '../connection.ts';
import { NatsRecordStore } from '../record-store.ts';
import { AppendChannel } from './append-channel.ts';
import type { ResolvedJetStream } from './jetstream-options.ts';
import { JetStreamLog } from './jetstream-log.ts';
import { JetStreamRecords } from './jetstream-records.ts';
import { JetStreamSnapshots } from './jetstream-snapshots.ts';
import { formBytesMax } from './snapshot-form.ts';
import { durabilityOf } from './store-durability.ts';
import { StoreGate } from './store-gate.ts';
import { storeNames } from './store-names.ts';
import type { LogNames, StoreNames } from './store-names.ts';

/** Kept free below the server's limit for subjects, headers and protocol. */
const marginBytes = 4_096;

/** A store in JetStream, open on one node. */
export class JetStreamStore implements OpenStore {
  readonly privateId: undefined = undefined;
  readonly durability: Durability;
  readonly events: JetStreamLog;
  readonly states: JetStreamLog;
  readonly snapshots: JetStreamSnapshots;
  readonly records: JetStreamRecords;
  readonly #gate: StoreGate;
  readonly #channel: AppendChannel;
  #closing: Promise<void> | undefined;

  private constructor(gate: StoreGate, channel: AppendChannel, names: StoreNames, payloadMax: number, readBytesMax: number) {
    this.#gate = gate;
    this.#channel = channel;
    const bodyBytesMax = payloadMax - marginBytes;
    const pullBytesMax = Math.max(readBytesMax, payloadMax + 2 * marginBytes);
    const log = (of: LogNames, keepsLast: boolean): JetStreamLog =>
      new JetStreamLog({
        link: gate,
        channel,
        names: of,
        keepsLast,
        bodyBytesMax,
        pullBytesMax,
        refusal: () => gate.refusal,
        isClosed: () => gate.closed,
      });
    this.events = log(names.events, false);
    this.states = log(names.states, true);
    this.snapshots = new JetStreamSnapshots({ link: gate, channel, names: names.snapshots, bodyBytesMax: bodyBytesMax - formBytesMax });
    const store = new NatsRecordStore(names.recordsBucket, gate.api, gate, () => gate.onMissing());
    this.records = new JetStreamRecords({ link: gate, store, names: names.records, pullBytesMax });
    this.durability = durabilityOf(gate.version, gate.replicas);
  }

  /** Rejects with `transport.connect_timeout`, `transport.refused`, `transport.no_jetstream`. */
  static async open(environment: StoreEnvironment, { nats, limits }: ResolvedJetStream): Promise<JetStreamStore> {
    const names = storeNames(environment.cluster);
    let payloadMax = 0;
    let connection: ManagedConnection | undefined;
    const resetIfFull = (live: LiveConnection): void => {
      if (live.socket.writableLength > limits.outboundBytesMax) connection?.reset('its server does not read what is written');
    };
    const channel = new AppendChannel(
      {
        timeoutMs: limits.storeTimeoutMs,
        inFlightMax: limits.appendsInFlightMax,
        inFlightBytesMax: limits.appendsInFlightBytesMax,
      },
      { clock: environment.clock, random: environment.random, inboxPrefix: limits.inboxPrefix, onWritten: resetIfFull },
    );
    const gate = new StoreGate(environment, names, limits);
    const prepare = async (live: LiveConnection, made: ManagedConnection): Promise<void> => {
      connection = made;
      const offered = live.nats.info?.max_payload ?? 1_048_576;
      if (offered < Math.max(payloadMax, 4 * marginBytes)) {
        throw new PerkeyError('transport.refused', `the server takes messages of ${offered} bytes only; raise its max_payload`);
      }
      payloadMax ||= offered;
      await made.listen(live, [channel.inbox()]);
      await gate.prepare(live, made);
    };
    await ManagedConnection.open('store', `${nats.name} ${environment.cluster} store ${environment.nodeId}`, nats, environment, {
      prepare,
      onUp: (live) => {
        channel.attach(live);
        gate.up(live);
      },
      onDown: () => {
        channel.detach();
        gate.down('the connection to NATS was lost');
      },
    });
    return new JetStreamStore(gate, channel, names, payloadMax, limits.readBytesMax);
  }

  /** All nodes reach it, so it ties no shard to one of them. */
  shardsHeld(): Promise<readonly number[]> {
    return Promise.resolve([]);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#gate.shut();
    await this.#channel.drained();
    this.#gate.close();
    this.#channel.detach();
  }
}
