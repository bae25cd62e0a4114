import { bareError } from '../base/bare-error.ts';
import { defaultCodecLimits } from '../base/codec-limits.ts';
import type { CodecLimits } from '../base/codec-limits.ts';
import { decode } from '../base/codec.ts';
import type { Decoder } from '../base/decoder.ts';
import { Encoder } from '../base/encoder.ts';
import { PerkeyError } from '../base/errors.ts';
import { asRefusal } from '../base/plain.ts';
import { Slab } from '../base/slab.ts';

/** Raised with every change that an older reader would misread. */
export const protocolVersion = 1;

/** 'P', 'K', protocol version, kind. */
export const frameHeaderBytes = 4;

const magic0 = 0x50;
const magic1 = 0x4b;

/** Bounds of what nodes say to each other: the routes of 16,384 shards, the state of an actor. */
export const controlLimits: CodecLimits = Object.freeze({ depthMax: 64, nodesMax: 4_000_000, bigintBytesMax: 65_536 });

/** Envelopes that one frame may hold: work that a reader does without a pause. */
export const frameEnvelopesMax = 4_096;

/** Of what a caller says beside its requests: a list of numbers. */
export const cancelLimits: CodecLimits = Object.freeze({ depthMax: 2, nodesMax: 4_096, bigintBytesMax: 8 });

export const frameKind = {
  request: 1,
  reply: 2,
  handoff: 3,
  handoffAck: 4,
  topologyAsk: 5,
  topology: 6,
  cancel: 7,
} as const;

export type FrameKind = (typeof frameKind)[keyof typeof frameKind];

const frameKindMax = 7;

/** Why a frame was not read. Holds nothing of its content but the numbers of the header. */
export type FrameProblem =
  | { readonly problem: 'truncated' | 'magic' }
  | { readonly problem: 'version'; readonly theirs: number; readonly ours: number }
  | { readonly problem: 'kind'; readonly kind: number }
  | { readonly problem: 'body'; readonly kind: FrameKind };

/** The header of a frame, checked: its kind as a number, or an object that says what is wrong. */
export function readFrameKind(frame: Uint8Array): FrameKind | FrameProblem {
  if (frame.length < frameHeaderBytes) return { problem: 'truncated' };
  if (frame[0] !== magic0 || frame[1] !== magic1) return { problem: 'magic' };
  const version = frame[2] as number;
  if (version !== protocolVersion) return { problem: 'version', theirs: version, ours: protocolVersion };
  const kind = frame[3] as number;
  return kind >= 1 && kind <= frameKindMax ? (kind as FrameKind) : { problem: 'kind', kind };
}

export function writeFrameHeader(encoder: Encoder, kind: FrameKind): void {
  encoder.u32(((magic0 << 24) | (magic1 << 16) | (protocolVersion << 8) | kind) >>> 0);
}

/** A frame without content. */
export function headerOnlyFrame(kind: FrameKind): Uint8Array {
  return Uint8Array.of(magic0, magic1, protocolVersion, kind);
}

/** A frame of one value. Throws `payload.not_plain`, or `payload.too_large` above `frameBytesMax`. */
export function encodeControlFrame(
  kind: FrameKind,
  value: unknown,
  frameBytesMax: number = Number.MAX_SAFE_INTEGER / 2,
  limits: CodecLimits = defaultCodecLimits,
): Uint8Array {
  const encoder = new Encoder(new Slab(0), limits);
  encoder.open(256);
  writeFrameHeader(encoder, kind);
  encoder.message(frameBytesMax - frameHeaderBytes);
  try {
    encoder.value(value);
  } catch (thrown) {
    throw asRefusal(thrown);
  }
  if (encoder.length > frameBytesMax) throw tooLarge(encoder.length, frameBytesMax);
  return encoder.take();
}

export interface ControlFrame {
  readonly kind: FrameKind;
  readonly value: unknown;
}

export function decodeControlFrame(frame: Uint8Array, limits: CodecLimits = defaultCodecLimits): ControlFrame | FrameProblem {
  const kind = readFrameKind(frame);
  if (typeof kind !== 'number') return kind;
  try {
    return { kind, value: decode(frame, frameHeaderBytes, frame.length, limits) };
  } catch (thrown) {
    if (thrown instanceof PerkeyError) return { problem: 'body', kind };
    throw thrown;
  }
}

export function tooLarge(bytes: number, bytesMax: number): PerkeyError {
  return bareError('payload.too_large', `${bytes} bytes are more than the ${bytesMax} that one message may have.`, {
    details: { bytes, bytesMax },
  });
}

/**
 * Steps through the envelopes of one frame: `while (reader.next()) ...`, then look at `truncated`. Each envelope starts with its own length,
 * so one that cannot be decoded costs only itself. Valid while the frame's bytes are.
 */
export class EnvelopeReader {
  protected readonly frame: Uint8Array;
  protected readonly view: DataView;
  protected readonly decoder: Decoder;
  /** Where the envelope starts and ends in the frame. */
  protected start: number = frameHeaderBytes;
  protected end: number = frameHeaderBytes;
  readonly #prefixBytes: number;
  #truncated = false;

  constructor(frame: Uint8Array, decoder: Decoder, prefixBytes: number) {
    this.frame = frame;
    this.view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    this.decoder = decoder;
    this.#prefixBytes = prefixBytes;
  }

  /** Moves to the next envelope. False: there is none, or what follows is not one. */
  next(): boolean {
    const start = this.end;
    const left = this.frame.length - start;
    if (left === 0 || this.#truncated) return false;
    const length = left < this.#prefixBytes ? 0 : this.view.getUint32(start);
    if (length < this.#prefixBytes || length > left) {
      this.#truncated = true;
      return false;
    }
    this.start = start;
    this.end = start + length;
    return true;
  }

  /** True when `next` gave up in the middle: a length that cannot be true, or bytes that end too early. */
  get truncated(): boolean {
    return this.#truncated;
  }
}
