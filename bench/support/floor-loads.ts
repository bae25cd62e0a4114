import { connect, type NatsConnection } from '@nats-io/transport-node';
import { LoadMeter, type LoadResult } from './load-meter.ts';
import { batchedEchoSubject, echoSubject } from './raw-echo.ts';
import { headerBytes, idOffset, readId, replyFrameBytes, requestFrames, writeId } from './wire-samples.ts';

/** A way to keep a number of requests in flight. */
export interface Load {
  run(inflight: number, ms: number): Promise<LoadResult>;
}

/**
 * What the two floors have in common: one inbox for all answers, a request in its bytes made once for each place in flight, no promise,
 * no table of what is pending. An answer names its place, and the place sends again.
 */
abstract class FloorLoad implements Load {
  protected readonly connection: NatsConnection;
  protected readonly withReply: { reply: string };
  protected frames: Uint8Array[] = [];
  #meter = new LoadMeter(1);
  #sentAt = new Float64Array(0);
  #left = 0;
  #onIdle: () => void = () => undefined;

  constructor(connection: NatsConnection, inbox: string) {
    this.connection = connection;
    this.withReply = { reply: inbox };
  }

  async run(inflight: number, ms: number): Promise<LoadResult> {
    const samples = requestFrames();
    this.frames = Array.from({ length: inflight }, (_, place) => samples[place % samples.length]!.slice());
    for (const [place, frame] of this.frames.entries()) writeId(frame, idOffset, place);
    this.#sentAt = new Float64Array(inflight).fill(-1);
    this.#meter = new LoadMeter(inflight);
    this.#left = inflight;
    return this.#meter.measure(ms, () => {
      const idle = new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      for (let place = 0; place < inflight; place += 1) this.send(place);
      return idle;
    });
  }

  protected abstract send(place: number): void;

  protected answered(place: number): void {
    const meter = this.#meter;
    const sentAt = this.#sentAt[place] as number;
    meter.count();
    if (sentAt >= 0) meter.sample(performance.now() - sentAt);
    if (!meter.open) {
      this.#left -= 1;
      if (this.#left === 0) this.#onIdle();
      return;
    }
    this.#sentAt[place] = meter.timesNext ? performance.now() : -1;
    this.send(place);
  }
}

/** One message for each request. */
export class EchoLoad extends FloorLoad {
  static async open(servers: string): Promise<EchoLoad> {
    const connection = await connect({ servers, noAsyncTraces: true });
    const inbox = 'bench.reply.single';
    const load = new EchoLoad(connection, inbox);
    connection.subscribe(inbox, { callback: (_error, { data }) => load.answered(readId(data, idOffset)) });
    await connection.flush();
    return load;
  }

  protected override send(place: number): void {
    this.connection.publish(echoSubject, this.frames[place], this.withReply);
  }
}

/** One message for all requests of one turn of the event loop. */
export class BatchedEchoLoad extends FloorLoad {
  #batch: number[] = [];
  #batchBytes = headerBytes;
  readonly #flush = (): void => {
    const batch = this.#batch;
    const message = Buffer.allocUnsafe(this.#batchBytes);
    let at = headerBytes;
    for (const place of batch) {
      const frame = this.frames[place] as Uint8Array;
      message.set(frame.subarray(headerBytes), at);
      at += frame.length - headerBytes;
    }
    this.#batch = [];
    this.#batchBytes = headerBytes;
    this.connection.publish(batchedEchoSubject, message, this.withReply);
  };

  static async open(servers: string): Promise<BatchedEchoLoad> {
    const connection = await connect({ servers, noAsyncTraces: true });
    const inbox = 'bench.reply.batched';
    const load = new BatchedEchoLoad(connection, inbox);
    const envelopeBytes = replyFrameBytes() - headerBytes;
    const idAt = idOffset - headerBytes;
    connection.subscribe(inbox, {
      callback: (_error, { data }) => {
        for (let at = headerBytes; at < data.length; at += envelopeBytes) load.answered(readId(data, at + idAt));
      },
    });
    await connection.flush();
    return load;
  }

  protected override send(place: number): void {
    if (this.#batch.length === 0) setImmediate(this.#flush);
    this.#batch.push(place);
    this.#batchBytes += (this.frames[place] as Uint8Array).length - headerBytes;
  }
}
