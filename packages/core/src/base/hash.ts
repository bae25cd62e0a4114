const FNV_PRIME = 0x01000193;
const FNV_BASIS = 0x811c9dc5;

/** One step of FNV-1a: a byte into the state (a signed 32-bit integer). */
function step(state: number, byte: number): number {
  return Math.imul(state ^ byte, FNV_PRIME);
}

/**
 * FNV-1a, 32 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv), over the UTF-8 bytes of `text`; an unsigned integer.
 * Reads the string in place and allocates nothing. A lone surrogate counts as U+FFFD, as it does for `TextEncoder`.
 * `basis` starts the state elsewhere, for a second hash of the same text.
 */
export function fnv1a(text: string, basis: number = FNV_BASIS): number {
  let state = basis | 0;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return fnv1aFrom(state, text, i);
    state = Math.imul(state ^ unit, FNV_PRIME);
  }
  return state >>> 0;
}

/** The rest of `fnv1a` from the first unit that is not ASCII; apart, so that the common loop stays small. */
function fnv1aFrom(before: number, text: string, start: number): number {
  let state = before;
  for (let i = start; i < text.length; i += 1) {
    const point = text.codePointAt(i) ?? 0;
    if (point < 0x80) {
      state = step(state, point);
    } else if (point < 0x800) {
      state = step(step(state, 0xc0 | (point >> 6)), 0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
      const sent = point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
      state = step(step(step(state, 0xe0 | (sent >> 12)), 0x80 | ((sent >> 6) & 0x3f)), 0x80 | (sent & 0x3f));
    } else {
      state = step(step(state, 0xf0 | (point >> 18)), 0x80 | ((point >> 12) & 0x3f));
      state = step(step(state, 0x80 | ((point >> 6) & 0x3f)), 0x80 | (point & 0x3f));
      i += 1;
    }
  }
  return state >>> 0;
}

/** Spreads every bit of a 32-bit integer over all bits of an unsigned one; a bijection (the finaliser of MurmurHash3, Austin Appleby). */
export function mix32(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/**
 * The shard of a key, in [0, shards). Never to be changed while a cluster with data lives.
 *
 * FNV-1a alone is not uniform here: its low bits depend only on the low bits of the bytes, and the modulus of a power of two reads
 * nothing else, so that keys which repeat an id (`user-42/cart-42`) leave half of the shards empty and put up to seven times the
 * mean on one. The final mix lets every bit take part.
 */
export function shardOf(key: string, shards: number): number {
  return mix32(fnv1a(key)) % shards;
}
