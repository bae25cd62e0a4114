import { bareError } from '../base/bare-error.ts';
import { defaultCodecLimits } from '../base/codec-limits.ts';
import type { CodecLimits } from '../base/codec-limits.ts';
import { decode } from '../base/codec.ts';
import type { Decoder } from '../base/decoder.ts';
import { Encoder } from '../base/encoder.ts';
import type { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import { asRefusal, bytesOfUnit } from '../base/plain.ts';
import { fromAnyone, fromNode, noChain, noHeaders } from '../contract/calls.ts';
import type { CallOptions, CallSource, Headers, InboundRequest, ReplyPort } from '../contract/calls.ts';
import { EnvelopeReader, tooLarge } from './frame.ts';

/** u32 length of the whole envelope, u32 request id, u16 shard, u16 flags, f64 shard epoch, u32 remaining ms; then the tail. */
export const requestPrefixBytes = 24;

/**
 * Flags of a request. A reader refuses an envelope with a flag of the upper byte that it does not know, and ignores one of the lower byte.
 * `notify`: one way, no reply is wanted. `awaited`: made in a turn that the move of its shard waits for. `heldLong`: made in a turn, and held
 * back for long by the move of a shard. Both are believed of nodes only.
 */
export const requestFlag = { notify: 0x0001, awaited: 0x0002, heldLong: 0x0004 } as const;

const criticalFlags = 0xff00;
const criticalFlagsKnown = 0x0000;
const tailLengthMin = 3;
/** More than any version is likely to need, few enough that nobody can hide work in them. */
const tailLengthMax = 16;
const remainingMsMax = 0xffff_ffff;

/** Encodes the part of requests that is the same in every attempt. */
export class RequestTailEncoder {
  readonly #bytesMax: number;
  readonly #limits: CodecLimits;
  readonly #encoder: Encoder;
  #busy = false;

  /** `bytesMax`: of one tail. The frame of one request alone has `requestPrefixBytes + frameHeaderBytes` more. */
  constructor(bytesMax: number, limits: CodecLimits = defaultCodecLimits) {
    this.#bytesMax = bytesMax;
    this.#limits = limits;
    this.#encoder = new Encoder(undefined, limits);
    this.#encoder.open(1_024);
  }

  /** The bytes belong to the caller. Throws `payload.not_plain` with the path of the offender, or `payload.too_large`. */
  encode(
    type: string,
    key: string,
    method: string,
    input: unknown,
    headers: Headers | undefined,
    chain: readonly string[] | undefined,
    idempotencyKey: string | undefined,
    caller: string,
    onBehalfOf?: string,
  ): Uint8Array {
    // An accessor in the input may call another actor in the middle of this.
    if (this.#busy) {
      const apart = new RequestTailEncoder(this.#bytesMax, this.#limits);
      return apart.encode(type, key, method, input, headers, chain, idempotencyKey, caller, onBehalfOf);
    }
    const encoder = this.#encoder;
    this.#busy = true;
    try {
      encoder.rewind(0);
      encoder.message(this.#bytesMax);
      const length = onBehalfOf === undefined ? tailLength(input, headers, chain, idempotencyKey, caller) : 9;
      encoder.array(length);
      encoder.string(type);
      encoder.string(key);
      encoder.string(method);
      if (length > 3) encoder.value(input);
      if (length > 4) encoder.value(headers ?? null);
      if (length > 5) encoder.value(chain ?? null);
      if (length > 6) encoder.value(idempotencyKey ?? null);
      if (length > 7) encoder.string(caller);
      if (onBehalfOf !== undefined) encoder.string(onBehalfOf);
      if (encoder.length > this.#bytesMax) throw tooLarge(encoder.length, this.#bytesMax);
      return encoder.copy();
    } catch (thrown) {
      throw this.#refusalOf(asRefusal(thrown), type, method);
    } finally {
      this.#busy = false;
    }
  }

  #refusalOf({ code, message, details, cause }: PerkeyError, type: string, method: string): PerkeyError {
    const what = `${safeText(type, 64)}.${safeText(method, 64)}`;
    if (code !== 'payload.too_large') return bareError(code, `input of ${what}: ${message}`, { details, cause });
    return bareError(code, `a call of ${what} does not fit into the ${this.#bytesMax} bytes that a request may have (payloadBytesMax)`, {
      details: { ...details, bytesMax: this.#bytesMax },
      cause,
    });
  }
}

/** How many parts there are when those missing at the end are left out. */
function tailLength(
  input: unknown,
  headers: Headers | undefined,
  chain: readonly string[] | undefined,
  idempotencyKey: string | undefined,
  caller: string,
): number {
  if (caller !== '') return 8;
  if (idempotencyKey !== undefined) return 7;
  if (chain !== undefined && chain.length > 0) return 6;
  if (headers !== undefined && headers !== noHeaders && Object.keys(headers).length > 0) return 5;
  return input !== undefined ? 4 : tailLengthMin;
}

/** Of the heads of a tail and its nine parts; of the head of a text. */
const tailHeadBytes = 50;
const textHeadBytes = 5;

/** What a tail holds beside its input is not larger than this. */
export function tailBytesBesideInput(type: string, key: string, method: string, options: CallOptions, caller: string): number {
  const { headers, chain, idempotencyKey, onBehalfOf } = options;
  let units = type.length + key.length + method.length + caller.length;
  let texts = 0;
  if (idempotencyKey !== undefined) units += idempotencyKey.length;
  if (onBehalfOf !== undefined) units += onBehalfOf.length;
  if (chain !== undefined) {
    texts += chain.length;
    for (let i = 0; i < chain.length; i += 1) units += (chain[i] as string).length;
  }
  if (headers !== undefined && headers !== noHeaders) {
    for (const [name, value] of Object.entries(headers)) {
      texts += 2;
      units += name.length + value.length;
    }
  }
  return tailHeadBytes + texts * textHeadBytes + units * bytesOfUnit;
}

/** The input in a tail that `RequestTailEncoder` made: the caller's own copy of it. */
export function inputOfTail(tail: Uint8Array, limits: CodecLimits = defaultCodecLimits): unknown {
  return (decode(tail, 0, tail.length, limits) as unknown[])[3];
}

/** One request envelope; `tail` as `RequestTailEncoder` made it. What changes between attempts is in the prefix. */
export function writeRequest(
  encoder: Encoder,
  id: number,
  shard: number,
  flags: number,
  epoch: number,
  remainingMs: number,
  tail: Uint8Array,
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

  /** 0: none. */
  get mark(): number {
    return this.flags & (requestFlag.awaited | requestFlag.heldLong);
  }

  /** The epoch at which the caller believes the shard to be owned. */
  get epoch(): number {
    return this.view.getFloat64(this.start + 12);
  }

  /** What was left of the caller's time when it sent this, in whole ms, rounded down. */
  get remainingMs(): number {
    return this.view.getUint32(this.start + 20);
  }

  /**
   * Decodes the rest. Throws `request.malformed`, or `protocol.unsupported` for a flag that must not be ignored. For whom a node says that it
   * calls is believed of a node only: `source` is `fromNode`.
   */
  request(deadline: number, reply: ReplyPort, source: CallSource = fromAnyone): InboundRequest {
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
    let from = source;
    if (length > 8) {
      const onBehalfOf = textOf(decoder.value());
      if (onBehalfOf !== undefined && source === fromNode) from = { origin: 'json', principal: onBehalfOf };
      for (let i = 9; i < length; i += 1) decoder.value();
    }
    decoder.finish();
    return { id: this.id, type, method, key, input, headers, chain, idempotencyKey, caller, source: from, deadline, reply };
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
  return value;
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
