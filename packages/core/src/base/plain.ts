import { defaultCodecLimits, forbiddenName } from './codec-limits.ts';
import type { CodecLimits } from './codec-limits.ts';
import { describeThrown, PerkeyError } from './errors.ts';

/** True for what `{}` and `Object.create(null)` make, in this realm or another; `prototype` is the value's. */
export function isPlainPrototype(prototype: object | null): boolean {
  if (prototype === Object.prototype || prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

/** True for a true array, in this realm or another, and false for an instance of a subclass. */
export function isPlainArray(value: object): value is unknown[] {
  return Array.isArray(value) && Array.isArray(Object.getPrototypeOf(value));
}

/**
 * A copy that shares nothing with `value`, the same as a trip over the wire would give: own enumerable properties with text names,
 * `undefined`, bigint, Date and Uint8Array (whatever its subclass) kept, unpaired surrogates in texts replaced by U+FFFD.
 * Throws `payload.not_plain` with the path of what cannot travel, `payload.too_large` for too many nodes.
 */
export function copyPlain<T>(value: T): T {
  return new PlainCopy(value).value;
}

/** What a value takes on the wire with the head of its name, but without the bytes of texts, binaries and long bigints. */
const bytesOfNode = 24;
/** Of one UTF-16 unit of a text, at most. */
export const bytesOfUnit = 3;

/** A copy as `copyPlain` makes it, of which is known how large it can be on the wire. */
export class PlainCopy<T> {
  readonly #root: T;
  readonly value: T;
  #nodes = 0;
  /** Of texts, binaries and bigints. */
  #bytes = 0;

  /** Throws as `copyPlain`. */
  constructor(root: T) {
    this.#root = root;
    try {
      this.value = this.#any(root, 0) as T;
    } catch (thrown) {
      throw asRefusal(thrown);
    }
  }

  /** The wire form is not larger; mostly it is a good deal smaller. */
  get bytesAtMost(): number {
    return (this.#nodes + 1) * bytesOfNode + this.#bytes;
  }

  #any(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case 'object':
        return value === null ? null : this.#holder(value, depth);
      case 'string':
        this.#bytes += value.length * bytesOfUnit;
        return value.toWellFormed();
      case 'bigint':
        return this.#bigint(value);
      case 'function':
      case 'symbol':
        throw this.#refusal();
      default:
        return value;
    }
  }

  #holder(value: object, depth: number): unknown {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype) return this.#object(value, depth);
    if (prototype === Array.prototype || isPlainArray(value)) return this.#array(value as unknown[], depth);
    if (value instanceof Uint8Array) return this.#binary(value);
    if (prototype === Date.prototype) return new Date((value as Date).getTime());
    if (isPlainPrototype(prototype as object | null)) return this.#object(value, depth);
    throw this.#refusal();
  }

  #binary(value: Uint8Array): Uint8Array {
    this.#bytes += value.length;
    return new Uint8Array(value);
  }

  #bigint(value: bigint): bigint {
    const bytes = bigintBytes(value);
    if (bytes > defaultCodecLimits.bigintBytesMax) throw this.#refusal();
    this.#bytes += bytes;
    return value;
  }

  #object(value: object, depth: number): object {
    const source = value as Record<string, unknown>;
    const names = Object.keys(source);
    if ((this.#nodes += names.length) > defaultCodecLimits.nodesMax || depth >= defaultCodecLimits.depthMax) throw this.#refusal();
    const copy: Record<string, unknown> = {};
    for (let i = 0; i < names.length; i += 1) {
      const name = names[i] as string;
      if (name === forbiddenName) throw this.#refusal();
      this.#bytes += name.length * bytesOfUnit;
      copy[name.toWellFormed()] = this.#any(source[name], depth + 1);
    }
    return copy;
  }

  #array(source: unknown[], depth: number): unknown[] {
    const { length } = source;
    if ((this.#nodes += length) > defaultCodecLimits.nodesMax || depth >= defaultCodecLimits.depthMax) throw this.#refusal();
    const copy: unknown[] = [];
    for (let i = 0; i < length; i += 1) copy.push(this.#any(source[i], depth + 1));
    return copy;
  }

  #refusal(): PerkeyError {
    return explainRefusal(this.#root, defaultCodecLimits);
  }
}

/** The error for a value that the codec refused, with the path of the first offender. Slow; called only after a refusal. */
export function explainRefusal(root: unknown, limits: CodecLimits): PerkeyError {
  const search = new OffenderSearch(limits);
  search.visit(root, 'value', 0);
  return search.found ?? new PerkeyError('payload.not_plain', 'The value changed while it was read.');
}

/** What a caller is told when reading a value threw: the refusal itself, or one that wraps what an accessor of the value threw. */
export function asRefusal(thrown: unknown): PerkeyError {
  if (thrown instanceof PerkeyError) return thrown;
  return new PerkeyError('payload.not_plain', `The value could not be read: ${describeThrown(thrown)}`, { cause: thrown });
}

export function tooManyNodes(limits: CodecLimits): PerkeyError {
  return new PerkeyError('payload.too_large', `The value holds more than ${limits.nodesMax} elements and properties.`);
}

class OffenderSearch {
  readonly #limits: CodecLimits;
  readonly #open = new Set<object>();
  #nodes = 0;
  found: PerkeyError | undefined;

  constructor(limits: CodecLimits) {
    this.#limits = limits;
  }

  visit(value: unknown, path: string, depth: number): void {
    if (typeof value === 'bigint') {
      if (bigintBytes(value) > this.#limits.bigintBytesMax)
        this.#refuse(path, `is a bigint of more than ${this.#limits.bigintBytesMax} bytes`);
      return;
    }
    if (typeof value === 'function' || typeof value === 'symbol') return this.#refuse(path, `is a ${typeof value}`);
    if (typeof value !== 'object' || value === null) return;
    if (value instanceof Uint8Array || Object.getPrototypeOf(value) === Date.prototype) return;
    if (this.#open.has(value)) return this.#refuse(path, 'is a cycle: it holds itself');
    if (depth >= this.#limits.depthMax) return this.#refuse(path, `lies deeper than ${this.#limits.depthMax} levels`);
    this.#open.add(value);
    if (isPlainArray(value)) this.#visitArray(value, path, depth);
    else if (isPlainPrototype(Object.getPrototypeOf(value) as object | null)) this.#visitObject(value, path, depth);
    else this.#refuse(path, `is an instance of ${className(value)}`);
    this.#open.delete(value);
  }

  #visitArray(value: unknown[], path: string, depth: number): void {
    if (this.#countedTooMany(value.length)) return;
    for (let i = 0; i < value.length && this.found === undefined; i += 1) this.visit(value[i], `${path}[${i}]`, depth + 1);
  }

  #visitObject(value: object, path: string, depth: number): void {
    const entries = Object.entries(value);
    if (this.#countedTooMany(entries.length)) return;
    for (const [name, item] of entries) {
      const itemPath = pathTo(path, name);
      if (name === forbiddenName) this.#refuse(itemPath, 'is a property name');
      else this.visit(item, itemPath, depth + 1);
      if (this.found !== undefined) return;
    }
  }

  #countedTooMany(count: number): boolean {
    this.#nodes += count;
    if (this.#nodes <= this.#limits.nodesMax) return false;
    this.found ??= tooManyNodes(this.#limits);
    return true;
  }

  #refuse(path: string, what: string): void {
    this.found ??= new PerkeyError('payload.not_plain', `${path} ${what}, which cannot travel.`, { details: { path } });
  }
}

function pathTo(path: string, name: string): string {
  if (/^[A-Za-z_$][\w$]{0,63}$/.test(name)) return `${path}.${name}`;
  return `${path}[${JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}...` : name)}]`;
}

function className(value: object): string {
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === 'function' && constructor.name !== '' ? constructor.name.slice(0, 64) : 'a class';
}

/** The bytes of its shortest two's complement form. */
export function bigintBytes(value: bigint): number {
  const digits = (value < 0n ? ~value : value).toString(16);
  const topBitSet = digits.length % 2 === 0 && digits.charCodeAt(0) >= 56;
  return ((digits.length + 1) >> 1) + (topBitSet ? 1 : 0);
}
