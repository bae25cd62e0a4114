import { jetstream } from '@nats-io/jetstream';
import { connect, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { randomBytes } from 'node:crypto';
import type { LoadMeter } from './load-meter.ts';

/** Requests to JetStream's API, and appends, as bare as the client library allows. */
export class BareJetStream implements AsyncDisposable {
  readonly connection: NatsConnection;

  private constructor(connection: NatsConnection) {
    this.connection = connection;
  }

  static async connect(servers: string | string[]): Promise<BareJetStream> {
    return new BareJetStream(await connect({ servers, noAsyncTraces: true }));
  }

  async createStream(name: string, subjects: string, replicas: number): Promise<void> {
    const config = { name, subjects: [subjects], storage: 'file', retention: 'limits', discard: 'new', num_replicas: replicas, max_age: 0 };
    await this.api(`STREAM.CREATE.${name}`, config);
  }

  async api(operation: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.connection.request(`$JS.API.${operation}`, JSON.stringify(body), { timeout: 10_000 });
    const reply = answer.json<Readonly<Record<string, unknown>>>();
    if (reply['error'] !== undefined) throw new Error(`${operation}: ${JSON.stringify(reply['error'])}`);
    return reply;
  }

  /**
   * The floor of appends: acknowledged publishes with the expected sequence of their subject, all answers to one inbox, a callback and no
   * promise. Each of `writers` goes on with its next one when its last was acknowledged.
   */
  appendLoop(subjects: readonly string[], heads: number[], body: Uint8Array, meter: LoadMeter): Promise<void> {
    const { connection } = this;
    const inbox = `_INBOX.floors_${randomBytes(16).toString('hex')}.`;
    const sentAt = new Float64Array(subjects.length);
    const header = { bytes: Buffer.alloc(0), encode: (): Uint8Array => header.bytes };
    const options = { reply: '', headers: header as unknown as MsgHdrs };
    return new Promise((resolve, reject) => {
      let under = 0;
      const publish = (writer: number): void => {
        under += 1;
        header.bytes = Buffer.from(`NATS/1.0\r\nNats-Expected-Last-Subject-Sequence:${heads[writer]}\r\n\r\n`, 'latin1');
        options.reply = inbox + writer;
        sentAt[writer] = meter.timesNext ? performance.now() : 0;
        connection.publish(subjects[writer] as string, body, options);
      };
      const subscription = connection.subscribe(`${inbox}*`, {
        callback: (_error, message) => {
          const writer = Number(message.subject.slice(inbox.length));
          const sequence = acknowledged(message.data);
          if (sequence === 0) reject(new Error(message.string()));
          heads[writer] = sequence;
          meter.count();
          const started = sentAt[writer] as number;
          if (started > 0) meter.sample(performance.now() - started);
          under -= 1;
          if (meter.open) publish(writer);
          else if (under === 0) {
            subscription.unsubscribe();
            resolve();
          }
        },
      });
      for (let writer = 0; writer < subjects.length; writer += 1) publish(writer);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.connection.close();
  }
}

const sequenceName = Buffer.from('"seq":', 'latin1');

/** The sequence in an acknowledgement, read without making a text or an object of it; 0 where there is none. */
function acknowledged(data: Uint8Array): number {
  let at = Buffer.from(data.buffer, data.byteOffset, data.length).indexOf(sequenceName);
  if (at < 0) return 0;
  let sequence = 0;
  for (at += sequenceName.length; ; at += 1) {
    const digit = (data[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return sequence;
    sequence = sequence * 10 + digit;
  }
}

/**
 * One read of what a filter fits, with nothing around it: one request that makes a consumer, whose messages are pushed at once, in order and
 * with flow control. Resolves with their number when `count` have come.
 */
export async function barePush(bare: BareJetStream, natsStream: string, filter: string | undefined, count: number): Promise<number> {
  const { connection } = bare;
  const name = `bare${Math.trunc(performance.now() * 1_000)}`;
  const inbox = `_INBOX.${name}`;
  let seen = 0;
  const all = new Promise<void>((resolve) => {
    connection.subscribe(inbox, {
      callback: (_error, message) => {
        if (message.reply === undefined || !message.reply.startsWith('$JS.ACK.')) {
          if (message.reply !== undefined && message.reply !== '') connection.publish(message.reply);
          return;
        }
        seen += message.data.length > 0 ? 1 : 0;
        if (seen === count) resolve();
      },
    });
  });
  const config = {
    name,
    deliver_subject: inbox,
    deliver_policy: 'all',
    ack_policy: 'none',
    max_deliver: 1,
    flow_control: true,
    idle_heartbeat: 1e9,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: 10e9,
    ...(filter === undefined ? {} : { filter_subject: filter }),
  };
  await bare.api(`CONSUMER.CREATE.${natsStream}.${name}${filter === undefined ? '' : `.${filter}`}`, { stream_name: natsStream, config });
  await all;
  await bare.api(`CONSUMER.DELETE.${natsStream}.${name}`, {});
  return seen;
}

/** The same with the client library's own ordered consumer. */
export async function orderedRead(bare: BareJetStream, natsStream: string, filter: string | undefined, count: number): Promise<number> {
  const consumer = await jetstream(bare.connection).consumers.get(natsStream, filter === undefined ? {} : { filter_subjects: filter });
  let seen = 0;
  for await (const message of await consumer.consume({ max_messages: 5_000 })) {
    seen += message.data.length > 0 ? 1 : 0;
    if (seen === count) break;
  }
  await consumer.delete();
  return seen;
}
