import { connect, type NatsConnection } from '@nats-io/transport-node';
import { readId, replyFrameBytes, headerBytes, idOffset } from './wire-samples.ts';

export const echoSubject = 'bench.echo';
export const batchedEchoSubject = 'bench.echo.batched';

/**
 * The far end of both floors: answers each message with as many of its own bytes as a reply of the product has, nothing decoded.
 * A batch is answered with one message of all its answers.
 */
export class RawEcho {
  readonly #connection: NatsConnection;

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  static async start(servers: string): Promise<RawEcho> {
    const connection = await connect({ servers, noAsyncTraces: true });
    const options = { reply: '' };
    const replyBytes = replyFrameBytes();
    connection.subscribe(echoSubject, {
      callback: (_error, message) => connection.publish(message.reply ?? '', message.data.subarray(0, replyBytes), options),
    });
    const envelopeBytes = replyBytes - headerBytes;
    connection.subscribe(batchedEchoSubject, {
      callback: (_error, message) => connection.publish(message.reply ?? '', answers(message.data, envelopeBytes), options),
    });
    await connection.flush();
    return new RawEcho(connection);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

const lengthAt = idOffset - headerBytes - 4;

function answers(batch: Uint8Array, envelopeBytes: number): Uint8Array {
  const ends: number[] = [];
  for (let at = headerBytes; at < batch.length; at += readId(batch, at + lengthAt)) ends.push(at);
  const reply = Buffer.allocUnsafe(headerBytes + ends.length * envelopeBytes);
  let to = headerBytes;
  for (const at of ends) {
    reply.set(batch.subarray(at, at + envelopeBytes), to);
    to += envelopeBytes;
  }
  return reply;
}
