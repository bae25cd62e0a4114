import { bareError } from './bare-error.ts';
import { defaultCodecLimits, extension, forbiddenName } from './codec-limits.ts';
import type { CodecLimits } from './codec-limits.ts';
import type { PerkeyError } from './errors.ts';
import { TextCache } from './text-cache.ts';

const nothing = Buffer.alloc(0);

/**
 * Reads MessagePack that anybody may have written. One pass checks and builds: structure, depth, nodes, extension types and lengths are checked
 * before anything is allocated for them, so hostile bytes cost no more than honest ones of the same size. Nothing read refers to the bytes afterwards.
 * Use: `begin`, then reads, then `finish`. Every read throws `request.malformed`; the message never holds content.
 */
export class Decoder {
  readonly #limits: CodecLimits;
  readonly #names: TextCache | undefined;
  readonly #texts: TextCache | undefined;
  #source: Uint8Array = nothing;
  /** All bytes of the memory that `source` is a part of: small messages mostly come in the memory of the one before. */
  #bytes: Buffer = nothing;
  #view: DataView = new DataView(nothing.buffer);
  /** Where `source` begins in it. Positions count from the beginning of the memory. */
  #base = 0;
  #position = 0;
  #end = 0;
  #nodes = 0;

  /** `caches`: worth their 90 kB for a decoder that lives long. */
  constructor(limits: CodecLimits = defaultCodecLimits, caches = true) {
    this.#limits = limits;
    this.#names = caches ? new TextCache() : undefined;
    this.#texts = caches ? new TextCache() : undefined;
  }

  /** Reads from `source[start, end)` from now on. */
  begin(source: Uint8Array, start: number, end: number): void {
    if (source !== this.#source) this.#bind(source);
    this.#position = this.#base + start;
    this.#end = this.#base + end;
    this.#nodes = 0;
  }

  /** Throws when bytes are left, or when the last value ran past the end. */
  finish(): void {
    if (this.#position !== this.#end)
      throw malformed(this.#position > this.#end ? 'the bytes end in the middle of a value' : 'bytes are left over');
  }

  /** One value, and nothing behind it. */
  only(source: Uint8Array, start: number, end: number): unknown {
    this.begin(source, start, end);
    const value = this.value();
    this.finish();
    return value;
  }

  value(): unknown {
    try {
      return this.#value(this.#bytes, 0);
    } catch (thrown) {
      throw asMalformed(thrown);
    }
  }

  /** The length of an array whose elements are to be read next. */
  array(): number {
    const token = this.#token(this.#bytes);
    if ((token & 0xf0) === 0x90) return token & 0x0f;
    if (token !== 0xdc || this.#position + 2 > this.#end) throw malformed('an array was expected');
    this.#position += 2;
    return this.#view.getUint16(this.#position - 2);
  }

  /** A text, which is expected to come again and again. */
  name(): string {
    const token = this.#token(this.#bytes);
    return this.#text(this.#bytes, this.#textLength(this.#bytes, token), this.#names);
  }

  /** Where the next read begins in what `begin` was given. */
  get position(): number {
    return this.#position - this.#base;
  }

  /** Moves over a text. */
  skipText(): void {
    this.#skip(this.#textLength(this.#bytes, this.#token(this.#bytes)));
  }

  /** Moves over a binary value, or over null, and gives where its content begins; it ends at `position`. */
  skipBinary(): number {
    const token = this.#token(this.#bytes);
    if (token === 0xc0) return this.position;
    if (token < 0xc4 || token > 0xc6) throw malformed('bytes were expected');
    if (this.#position + (1 << (token - 0xc4)) > this.#end) throw malformed('a length reaches beyond the end');
    return this.#skip(this.#uint(token - 0xc4)) - this.#base;
  }

  #bind(source: Uint8Array): void {
    const { buffer } = source;
    if (buffer !== this.#bytes.buffer) {
      this.#bytes = Buffer.from(buffer);
      this.#view = new DataView(buffer);
    }
    this.#base = source.byteOffset;
    this.#source = source;
  }

  #token(bytes: Buffer): number {
    if (this.#position >= this.#end) throw malformed('the bytes end in the middle of a value');
    return bytes[this.#position++] as number;
  }

  #value(bytes: Buffer, depth: number): unknown {
    const token = this.#token(bytes);
    if (token < 0x80) return token;
    if (token < 0x90) return this.#map(bytes, token & 0x0f, depth);
    if (token < 0xa0) return this.#elements(bytes, token & 0x0f, depth);
    if (token < 0xc0) return this.#text(bytes, token & 0x1f, this.#texts);
    if (token >= 0xe0) return token - 0x100;
    return this.#long(bytes, token, depth);
  }

  #long(bytes: Buffer, token: number, depth: number): unknown {
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#binary(this.#uint(token - 0xc4));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#extension(bytes, this.#uint(token - 0xc7));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#uint(token - 0xcc);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(bytes, this.#uint(token - 0xd9), this.#texts);
      case 0xdc:
      case 0xdd:
        return this.#elements(bytes, this.#uint(token - 0xdb), depth);
      case 0xde:
      case 0xdf:
        return this.#map(bytes, this.#uint(token - 0xdd), depth);
      default:
        return token >= 0xd4 && token <= 0xd8 ? this.#extension(bytes, 1 << (token - 0xd4)) : this.#fixedNumber(token);
    }
  }

  #fixedNumber(token: number): number | bigint {
    const view = this.#view;
    const at = this.#position;
    switch (token) {
      case 0xca:
        this.#position += 4;
        return view.getFloat32(at);
      case 0xcb:
        this.#position += 8;
        return view.getFloat64(at);
      case 0xcf:
        this.#position += 8;
        return view.getBigUint64(at);
      case 0xd0:
        this.#position += 1;
        return view.getInt8(at);
      case 0xd1:
        this.#position += 2;
        return view.getInt16(at);
      case 0xd2:
        this.#position += 4;
        return view.getInt32(at);
      case 0xd3:
        this.#position += 8;
        return view.getBigInt64(at);
      default:
        throw malformed('a value has no known type');
    }
  }

  /** `size`: 0, 1, 2 for one, two, four bytes. */
  #uint(size: number): number {
    const at = this.#position;
    this.#position += 1 << size;
    return size === 0 ? this.#view.getUint8(at) : size === 1 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** Moves over `length` bytes and gives where they start. */
  #skip(length: number): number {
    const from = this.#position;
    if (length > this.#end - from) throw malformed('a length reaches beyond the end');
    this.#position = from + length;
    return from;
  }

  #text(bytes: Buffer, length: number, cache: TextCache | undefined): string {
    const from = this.#skip(length);
    if (cache === undefined) return bytes.toString('utf8', from, from + length);
    return cache.read(bytes, this.#view, from, from + length);
  }

  #textLength(bytes: Buffer, token: number): number {
    if ((token & 0xe0) === 0xa0) return token & 0x1f;
    if (token < 0xd9 || token > 0xdb) throw malformed('a text was expected');
    if (this.#position + 4 > bytes.length) throw malformed('a length reaches beyond the end');
    return this.#uint(token - 0xd9);
  }

  #enter(nodes: number, bytesLeast: number, depth: number): void {
    if (depth >= this.#limits.depthMax) throw malformed('values lie too deep inside each other');
    if ((this.#nodes += nodes) > this.#limits.nodesMax) throw malformed('there are too many values');
    if (bytesLeast > this.#end - this.#position) throw malformed('a length reaches beyond the end');
  }

  #map(bytes: Buffer, length: number, depth: number): object {
    this.#enter(length, 2 * length, depth);
    const object: Record<string, unknown> = {};
    for (let i = 0; i < length; i += 1) {
      const name = this.#text(bytes, this.#textLength(bytes, this.#token(bytes)), this.#names);
      if (name === forbiddenName) throw malformed('a property has a name that cannot travel');
      object[name] = this.#value(bytes, depth + 1);
    }
    return object;
  }

  #elements(bytes: Buffer, length: number, depth: number): unknown[] {
    this.#enter(length, length, depth);
    const array: unknown[] = [];
    for (let i = 0; i < length; i += 1) array.push(this.#value(bytes, depth + 1));
    return array;
  }

  #binary(length: number): Uint8Array {
    const from = this.#skip(length);
    const copy = new Uint8Array(length);
    copy.set(this.#bytes.subarray(from, from + length));
    return copy;
  }

  #extension(bytes: Buffer, length: number): unknown {
    const type = this.#token(bytes);
    const from = this.#skip(length);
    if (type === extension.undefined && length === 1) return undefined;
    if (type === extension.timestamp) return this.#date(from, length);
    if (type === extension.bigint && length > 0 && length <= this.#limits.bigintBytesMax) {
      return BigInt.asIntN(length * 8, BigInt(`0x${bytes.toString('hex', from, from + length)}`));
    }
    throw malformed('an extension type is not allowed');
  }

  #date(at: number, length: number): Date {
    const view = this.#view;
    if (length === 1) return new Date(Number.NaN);
    if (length === 4) return new Date(view.getUint32(at) * 1000);
    if (length !== 8 && length !== 12) throw malformed('a date has a wrong length');
    const head = view.getUint32(at);
    const nanos = length === 8 ? head >>> 2 : head;
    const seconds = length === 8 ? (head & 3) * 0x1_0000_0000 + view.getUint32(at + 4) : Number(view.getBigInt64(at + 4));
    return new Date(seconds * 1000 + Math.floor(nanos / 1_000_000));
  }
}

function malformed(what: string): PerkeyError {
  return bareError('request.malformed', `The message could not be read: ${what}.`);
}

/** A DataView throws a RangeError where a number runs past the whole buffer; everything else is already what it should be. */
function asMalformed(thrown: unknown): unknown {
  return thrown instanceof RangeError ? malformed('the bytes end in the middle of a value') : thrown;
}
