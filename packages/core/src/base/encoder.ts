import { bareError } from './bare-error.ts';
import { defaultCodecLimits, extension, forbiddenName } from './codec-limits.ts';
import type { CodecLimits } from './codec-limits.ts';
import { bigintBytes, explainRefusal, isPlainArray, isPlainPrototype, tooManyNodes } from './plain.ts';
import { emptyChunk, Slab } from './slab.ts';
import type { Chunk } from './slab.ts';

/** Room that every step may use without asking; larger than any number, date or header. */
const stepBytes = 24;
/** Above this many characters the native writer is faster than a loop. */
const loopCharsMax = 28;
const int64Max = 0x7fff_ffff_ffff_ffffn;
const int64Min = -0x8000_0000_0000_0000n;
const uint64Max = 0xffff_ffff_ffff_ffffn;

/**
 * Writes MessagePack (and raw fields between) into a buffer that grows. One buffer at a time: `open`, write, `take`.
 * Positions that it takes and gives count from the start of the buffer. After a throw the position is anywhere behind the old one: `rewind`.
 * A value with accessors runs their code in the middle of `value`; whoever shares an encoder with such code has to guard against it.
 */
export class Encoder {
  readonly #slab: Slab;
  readonly #limits: CodecLimits;
  #chunk: Chunk;
  #bytes: Buffer;
  #view: DataView;
  #start = 0;
  #position = 0;
  #end = 0;
  /** Nothing may be written at or behind this one. */
  #fence = 0;
  #nodes = 0;

  constructor(slab: Slab = new Slab(), limits: CodecLimits = defaultCodecLimits) {
    this.#slab = slab;
    this.#limits = limits;
    this.#chunk = emptyChunk();
    this.#bytes = this.#chunk.bytes;
    this.#view = this.#chunk.view;
  }

  /** Starts a new buffer with room for `bytesHint` bytes; what was written and not taken is forgotten. */
  open(bytesHint: number): void {
    this.#slab.giveBack(this.#chunk, this.#start, this.#end);
    this.#use(this.#slab.cut(bytesHint + stepBytes), bytesHint + stepBytes);
    this.#position = this.#start;
    this.message(Number.MAX_SAFE_INTEGER / 2);
  }

  /** The bytes written since `open`. They belong to the taker; the next write needs `open` first. */
  take(): Uint8Array {
    const { buffer } = this.#bytes;
    const taken = new Uint8Array(buffer, this.#start, this.#position - this.#start);
    this.#slab.giveBack(this.#chunk, this.#position, this.#end);
    this.#start = this.#position;
    this.#end = this.#position;
    return taken;
  }

  /** A copy of the bytes written since `open`; the buffer stays and can be written again after `rewind`. */
  copy(): Uint8Array {
    const { length } = this;
    // Up to this length the engine keeps the bytes in its own heap.
    if (length <= 64) return this.#chunk.plain.slice(this.#start, this.#position);
    const copy = Buffer.allocUnsafe(length);
    copy.set(this.#bytes.subarray(this.#start, this.#position));
    return copy;
  }

  get length(): number {
    return this.#position - this.#start;
  }

  rewind(length: number): void {
    this.#position = this.#start + length;
  }

  /**
   * Starts the account of one message: from here on at most `bytes` more (checked only where the buffer has to grow, so whoever needs it exact
   * looks at `length` afterwards) and the limits' nodes in all its values together.
   */
  message(bytes: number): void {
    this.#fence = this.#position + bytes;
    this.#nodes = 0;
  }

  /** A copy of what was written from `from` on. */
  copyFrom(from: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(this.#start + from, this.#position));
  }

  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.#position++] = value;
  }

  u16(value: number): void {
    this.#room(2);
    this.#view.setUint16(this.#position, value);
    this.#position += 2;
  }

  u32(value: number): void {
    this.#room(4);
    this.#view.setUint32(this.#position, value);
    this.#position += 4;
  }

  f64(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#position, value);
    this.#position += 8;
  }

  patchU32(at: number, value: number): void {
    this.#view.setUint32(this.#start + at, value);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#position);
    this.#position += bytes.length;
  }

  /** The start of an array of `length` values, which are to follow. */
  array(length: number): void {
    this.#room(stepBytes);
    this.#header(length, 0x90, 0xdc);
  }

  string(text: string): void {
    this.#room(stepBytes);
    this.#string(text);
  }

  /** Starts a binary value that holds what is written next; `closeBinary` takes what this gives. */
  openBinary(): number {
    this.#room(5);
    this.#bytes[this.#position] = 0xc6;
    this.#position += 5;
    return this.length;
  }

  closeBinary(mark: number): void {
    this.patchU32(mark - 4, this.length - mark);
  }

  /** One value. Throws `payload.not_plain` or `payload.too_large`, both with the path or the limit in question. */
  value(value: unknown): void {
    if (this.#value(value, 0)) return;
    if (this.#nodes > this.#limits.nodesMax) throw tooManyNodes(this.#limits);
    throw explainRefusal(value, this.#limits);
  }

  #room(bytes: number): void {
    if (this.#position + bytes > this.#end) this.#grow(bytes);
  }

  #grow(bytes: number): void {
    if (this.#position + bytes - stepBytes > this.#fence) throw bareError('payload.too_large', 'The value is larger than it may be.');
    const { length } = this;
    const from = this.#start;
    const source = this.#bytes;
    const capacity = Math.max(2 * (this.#end - from), length + bytes + stepBytes);
    this.#slab.giveBack(this.#chunk, from, this.#end);
    this.#use(this.#slab.cut(capacity), capacity);
    if (this.#bytes !== source || this.#start !== from) source.copy(this.#bytes, this.#start, from, from + length);
    this.#position = this.#start + length;
    this.#fence += this.#start - from;
  }

  #use(chunk: Chunk, bytes: number): void {
    this.#chunk = chunk;
    this.#bytes = chunk.bytes;
    this.#view = chunk.view;
    this.#end = chunk.used;
    this.#start = chunk.used - bytes;
  }

  /** False: something in `value` cannot travel. */
  #value(value: unknown, depth: number): boolean {
    if (this.#position + stepBytes > this.#end) this.#grow(stepBytes);
    switch (typeof value) {
      case 'string':
        this.#string(value);
        return true;
      case 'number':
        this.#number(value);
        return true;
      case 'object':
        if (value !== null) return this.#object(value, depth);
        this.#bytes[this.#position++] = 0xc0;
        return true;
      case 'boolean':
        this.#bytes[this.#position++] = value ? 0xc3 : 0xc2;
        return true;
      case 'undefined':
        this.#bytes[this.#position++] = 0xd4;
        this.#bytes[this.#position++] = extension.undefined;
        this.#bytes[this.#position++] = 0;
        return true;
      case 'bigint':
        return this.#bigint(value);
      default:
        return false;
    }
  }

  #object(value: object, depth: number): boolean {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype) return this.#properties(value as Record<string, unknown>, depth);
    if (prototype === Array.prototype || isPlainArray(value)) return this.#elements(value as unknown[], depth);
    if (value instanceof Uint8Array) this.#binary(value);
    else if (prototype === Date.prototype) this.#date((value as Date).getTime());
    else return isPlainPrototype(prototype as object | null) && this.#properties(value as Record<string, unknown>, depth);
    return true;
  }

  #properties(value: Record<string, unknown>, depth: number): boolean {
    const names = Object.keys(value);
    if ((this.#nodes += names.length) > this.#limits.nodesMax || depth >= this.#limits.depthMax) return false;
    this.#header(names.length, 0x80, 0xde);
    for (let i = 0; i < names.length; i += 1) {
      const name = names[i] as string;
      if (name === forbiddenName) return false;
      if (this.#position + stepBytes > this.#end) this.#grow(stepBytes);
      this.#string(name);
      if (!this.#value(value[name], depth + 1)) return false;
    }
    return true;
  }

  #elements(value: unknown[], depth: number): boolean {
    const { length } = value;
    if ((this.#nodes += length) > this.#limits.nodesMax || depth >= this.#limits.depthMax) return false;
    this.#header(length, 0x90, 0xdc);
    for (let i = 0; i < length; i += 1) {
      if (!this.#value(value[i], depth + 1)) return false;
    }
    return true;
  }

  #header(length: number, short: number, long: number): void {
    if (length < 16) {
      this.#bytes[this.#position++] = short | length;
    } else if (length < 0x1_0000) {
      this.#bytes[this.#position++] = long;
      this.#view.setUint16(this.#position, length);
      this.#position += 2;
    } else {
      this.#bytes[this.#position++] = long + 1;
      this.#view.setUint32(this.#position, length);
      this.#position += 4;
    }
  }

  #number(value: number): void {
    const bytes = this.#bytes;
    if (value >>> 0 === value && (value !== 0 || 1 / value > 0)) {
      if (value < 0x80) {
        bytes[this.#position++] = value;
      } else if (value < 0x100) {
        bytes[this.#position++] = 0xcc;
        bytes[this.#position++] = value;
      } else if (value < 0x1_0000) {
        bytes[this.#position++] = 0xcd;
        this.#view.setUint16(this.#position, value);
        this.#position += 2;
      } else {
        bytes[this.#position++] = 0xce;
        this.#view.setUint32(this.#position, value);
        this.#position += 4;
      }
    } else if (value >> 0 === value && value < 0) {
      if (value >= -0x20) {
        bytes[this.#position++] = 0x100 + value;
      } else {
        bytes[this.#position++] = 0xd2;
        this.#view.setInt32(this.#position, value);
        this.#position += 4;
      }
    } else {
      bytes[this.#position++] = 0xcb;
      this.#view.setFloat64(this.#position, value);
      this.#position += 8;
    }
  }

  #string(text: string): void {
    const { length } = text;
    if (length > loopCharsMax) return this.#longString(text);
    if (this.#position + length + stepBytes > this.#end) this.#grow(length + stepBytes);
    const bytes = this.#bytes;
    let at = this.#position;
    bytes[at++] = 0xa0 | length;
    for (let i = 0; i < length; i += 1) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return this.#longString(text);
      bytes[at++] = unit;
    }
    this.#position = at;
  }

  #longString(text: string): void {
    let most = text.length * 3;
    if (this.#position + most + stepBytes > this.#end && text.length > 64) most = Buffer.byteLength(text);
    this.#room(most + stepBytes);
    // The head is chosen before the length is known, so it may be longer than the shortest one; any reader takes it.
    const head = most < 0x20 ? 1 : most < 0x100 ? 2 : most < 0x1_0000 ? 3 : 5;
    const length = this.#bytes.write(text, this.#position + head, 'utf8');
    this.#bytes[this.#position] = head === 1 ? 0xa0 | length : head === 2 ? 0xd9 : head === 3 ? 0xda : 0xdb;
    if (head === 2) this.#bytes[this.#position + 1] = length;
    else if (head === 3) this.#view.setUint16(this.#position + 1, length);
    else if (head === 5) this.#view.setUint32(this.#position + 1, length);
    this.#position += head + length;
  }

  #binary(value: Uint8Array): void {
    const { length } = value;
    this.#bytes[this.#position++] = length < 0x100 ? 0xc4 : length < 0x1_0000 ? 0xc5 : 0xc6;
    if (length < 0x100) this.u8(length);
    else if (length < 0x1_0000) this.u16(length);
    else this.u32(length);
    this.raw(value);
  }

  #date(ms: number): void {
    const bytes = this.#bytes;
    const view = this.#view;
    const seconds = Math.floor(ms / 1000);
    const nanos = (ms - seconds * 1000) * 1_000_000;
    if (Number.isNaN(ms)) {
      bytes[this.#position++] = 0xd4;
      bytes[this.#position++] = extension.timestamp;
      bytes[this.#position++] = 0xff;
    } else if (seconds >= 0 && seconds < 0x4_0000_0000) {
      bytes[this.#position++] = 0xd7;
      bytes[this.#position++] = extension.timestamp;
      view.setUint32(this.#position, nanos * 4 + Math.floor(seconds / 0x1_0000_0000));
      view.setUint32(this.#position + 4, seconds);
      this.#position += 8;
    } else {
      bytes[this.#position++] = 0xc7;
      bytes[this.#position++] = 12;
      bytes[this.#position++] = extension.timestamp;
      view.setUint32(this.#position, nanos);
      view.setBigInt64(this.#position + 4, BigInt(seconds));
      this.#position += 12;
    }
  }

  #bigint(value: bigint): boolean {
    if (value <= uint64Max && value >= int64Min) {
      const signed = value <= int64Max;
      this.#bytes[this.#position++] = signed ? 0xd3 : 0xcf;
      if (signed) this.#view.setBigInt64(this.#position, value);
      else this.#view.setBigUint64(this.#position, value);
      this.#position += 8;
      return true;
    }
    const length = bigintBytes(value);
    if (length > this.#limits.bigintBytesMax) return false;
    this.u8(0xc8);
    this.u16(length);
    this.u8(extension.bigint);
    this.raw(
      Buffer.from(
        BigInt.asUintN(length * 8, value)
          .toString(16)
          .padStart(length * 2, '0'),
        'hex',
      ),
    );
    return true;
  }
}
