import { defaultCodecLimits } from './codec-limits.ts';
import type { CodecLimits } from './codec-limits.ts';
import { Decoder } from './decoder.ts';
import { Encoder } from './encoder.ts';
import { asRefusal } from './plain.ts';
import { Slab } from './slab.ts';

/**
 * MessagePack of a plain value: null, booleans, numbers, texts, bigint, `undefined`, Date, Uint8Array, arrays and plain objects of them.
 * For single values; whoever has many keeps an `Encoder`. Throws `payload.not_plain` with the path of the offender, or `payload.too_large`.
 */
export function encode(value: unknown, limits: CodecLimits = defaultCodecLimits): Uint8Array {
  const encoder = new Encoder(new Slab(0), limits);
  encoder.open(256);
  try {
    encoder.value(value);
  } catch (thrown) {
    throw asRefusal(thrown);
  }
  return encoder.take();
}

/** The value in `bytes[start, end)`, safe for bytes from anybody. Whoever has many keeps a `Decoder`. Throws `request.malformed`. */
export function decode(bytes: Uint8Array, start = 0, end: number = bytes.length, limits: CodecLimits = defaultCodecLimits): unknown {
  return new Decoder(limits, false).only(bytes, start, end);
}
