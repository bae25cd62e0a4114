import { Encoder } from '../base/encoder.ts';
import { shardOf } from '../base/hash.ts';
import { RequestTailEncoder, writeRequest } from '../cluster/envelope.ts';
import { frameKind, writeFrameHeader } from '../cluster/frame.ts';

const tails = new RequestTailEncoder(10_000);

/** A request; what is left out is as the first caller of the key `k` would say. */
export interface SentRequest {
  readonly id: number;
  readonly epoch?: number;
  readonly remainingMs?: number;
  readonly key?: string;
  readonly shard?: number;
  readonly input?: unknown;
  readonly tail?: Uint8Array;
  readonly flags?: number;
}

/** The frame in which a caller sends these requests; shards are those of a cluster of four. */
export function requestFrame(...requests: readonly SentRequest[]): Uint8Array {
  const encoder = new Encoder();
  encoder.open(64);
  writeFrameHeader(encoder, frameKind.request);
  for (const { id, epoch = 7, remainingMs = 1_000, key = 'k', input, tail, shard = shardOf('k', 4), flags = 0 } of requests) {
    writeRequest(
      encoder,
      id,
      shard,
      flags,
      epoch,
      remainingMs,
      tail ?? tails.encode('t', key, 'm', input, undefined, undefined, undefined, ''),
    );
  }
  return encoder.take();
}
