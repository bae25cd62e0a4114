import { bareError } from '../base/bare-error.ts';
import { defaultCodecLimits } from '../base/codec-limits.ts';
import type { CodecLimits } from '../base/codec-limits.ts';
import type { Decoder } from '../base/decoder.ts';
import { Encoder } from '../base/encoder.ts';
import { noChain, noHeaders } from '../contract/calls.ts';
import type { Headers, InboundRequest, ReplyPort } from '../contract/calls.ts';
import { EnvelopeReader, tooLarge } from './frame.ts';

/** u32 length of the whole envelope, u32 request id, u16 shard, u16 flags, f64 shard epoch, u32 remaining ms; then the tail. */
export const requestPrefixBytes = 24;

/**
 * Flags of a request. A reader refuses an envelope with a flag of the upper byte that it does not know, and ignores one of the lower byte.
 * `notify`: one way, no reply is wanted.
 */
export const requestFlag = Object.freeze({ notify: 0x0001 } as const);

const criticalFlags = 0xff00;
const criticalFlagsKnown = 0x0000;
const tailLengthMin = 3;
/** More than any version is likely to need, few enough that nobody can hide work in them. */
const tailLengthMax = 16;
const remainingMsMax = 0xffff_ffff;

/** What stays the same however often a request is sent. */
export interface RequestTail {
  readonly type: string;
  readonly key: string;
  readonly method: string;
  readonly input: unknown;
  readonly headers: Headers;
  readonly chain: readonly string[];
  readonly idempotencyKey: string | undefined;
  /** '' where nobody said. */
  readonly caller: string;
}

/** Encodes the part of requests that is the same in every attempt. */
export class RequestTailEncoder {
  readonly #bytesMax: number;
  readonly #limits: CodecLimits;
  readonly #encoder: Encoder;
  #busy = false;

  /** `frameBytesMax`: what the frame of one request alone may have. */
  constructor(frameBytesMax: number, limits: CodecLimits = defaultCodecLimits) {
    this.#bytesMax = frameBytesMax - requestPrefixBytes - 4;
    this.#limits = limits;
    this.#encoder = new Encoder(undefined, limits);
    this.#encoder.open(1_024);
  }

  /** The bytes belong to the caller. Throws `payload.not_plain` with the path of the offender, or `payload.too_large`. */
  encode(tail: RequestTail): Uint8Array {
    // An accessor in the input may call another actor in the middle of this.
    if (this.#busy) return new RequestTailEncoder(this.#bytesMax + requestPrefixBytes + 4, this.#limits).encode(tail);
    this.#busy = true;
    try {
      const encoder = this.#encoder;
      encoder.rewind(0);
      encoder.message(this.#bytesMax);
      writeTail(encoder, tail);
      if (encoder.length > this.#bytesMax) throw tooLarge('payload.too_large', encoder.length, this.#bytesMax);
      return encoder.copy();
    } finally {
      this.#busy = false;
    }
  }
}

function writeTail(encoder: Encoder, tail: RequestTail): void {
  const { headers, chain, idempotencyKey, caller } = tail;
  const hasHeaders = headers !== noHeaders && Object.keys(headers).length > 0;
  const length =
    caller !== ''
      ? 8
      : idempotencyKey !== undefined
        ? 7
        : chain.length > 0
          ? 6
          : hasHeaders
            ? 5
            : tail.input !== undefined
              ? 4
              : tailLengthMin;
  encoder.array(length);
  encoder.string(tail.type);
  encoder.string(tail.key);
  encoder.string(tail.method);
  if (length > 3) encoder.value(tail.input);
  if (length > 4) encoder.value(hasHeaders ? headers : null);
  if (length > 5) encoder.value(chain.length > 0 ? chain : null);
  if (length > 6) encoder.value(idempotencyKey ?? null);
  if (length > 7) encoder.string(caller);
}

/** One request envelope; `tail` as `RequestTailEncoder` made it. What changes between attempts is in the prefix. */
export function writeRequest(
  encoder: Encoder,
  tail: Uint8Array,
  id: number,
  shard: number,
  flags: number,
  epoch: number,
  remainingMs: number,
): void {
  encoder.u32(requestPrefixBytes + tail.length);
  encoder.u32(id);
  encoder.u32(((shard << 16) | flags) >>> 0);
  encoder.f64(epoch);
  encoder.u32(remainingMs >= remainingMsMax ? remainingMsMax : remainingMs > 0 ? remainingMs : 0);
  encoder.raw(tail);
}

/** Steps through a frame of requests. The prefix is read in place; only `request` decodes. */
export class RequestReader extends EnvelopeReader {
  constructor(frame: Uint8Array, decoder: Decoder) {
    super(frame, decoder, requestPrefixBytes);
  }

  /** The caller's number for the request. */
  get id(): number {
    return this.view.getUint32(this.start + 4);
  }

  get shard(): number {
    return this.view.getUint16(this.start + 8);
  }

  get flags(): number {
    return this.view.getUint16(this.start + 10);
  }

  get notify(): boolean {
    return (this.flags & requestFlag.notify) !== 0;
  }

  /** The epoch at which the caller believes the shard to be owned. */
  get epoch(): number {
    return this.view.getFloat64(this.start + 12);
  }

  /** What was left of the caller's time when it sent this, in whole ms, rounded down. */
  get remainingMs(): number {
    return this.view.getUint32(this.start + 20);
  }

  /** Decodes the rest. Throws `request.malformed`, or `protocol.unsupported` for a flag that must not be ignored. */
  request(deadline: number, reply: ReplyPort): InboundRequest {
    const { decoder, flags } = this;
    if ((flags & criticalFlags & ~criticalFlagsKnown) !== 0) throw unsupportedFlags(flags);
    decoder.begin(this.frame, this.start + requestPrefixBytes, this.end);
    const length = decoder.array();
    if (length < tailLengthMin || length > tailLengthMax) throw malformedTail();
    const type = decoder.name();
    const key = decoder.name();
    const method = decoder.name();
    const input = length > 3 ? decoder.value() : undefined;
    let headers = noHeaders;
    let chain = noChain;
    let idempotencyKey: string | undefined;
    let caller = '';
    if (length > 4) headers = headersOf(decoder.value());
    if (length > 5) chain = chainOf(decoder.value());
    if (length > 6) idempotencyKey = textOf(decoder.value());
    if (length > 7) caller = textOf(decoder.value()) ?? '';
    for (let i = 8; i < length; i += 1) decoder.value();
    decoder.finish();
    return { id: this.id, type, method, key, input, headers, chain, idempotencyKey, caller, deadline, reply };
  }
}

function headersOf(value: unknown): Headers {
  if (value === null || value === undefined) return noHeaders;
  if (typeof value !== 'object' || Array.isArray(value)) throw malformedTail();
  for (const name in value) {
    if (typeof (value as Record<string, unknown>)[name] !== 'string') throw malformedTail();
  }
  return value as Headers;
}

function chainOf(value: unknown): readonly string[] {
  if (value === null || value === undefined) return noChain;
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw malformedTail();
  return value as readonly string[];
}

function textOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value !== 'string') throw malformedTail();
  return value;
}

function malformedTail(): Error {
  return bareError('request.malformed', 'The message could not be read: a part of the request is not what it should be.');
}

function unsupportedFlags(flags: number): Error {
  const theirs = flags & criticalFlags;
  const message = 'The request asks for something that this version does not know.';
  return bareError('protocol.unsupported', message, { details: { flags: theirs, known: criticalFlagsKnown } });
}
