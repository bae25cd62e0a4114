import { randomBytes } from 'node:crypto';

/** Chance as the runtime sees it. Nothing outside this file draws real randomness. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** Lower-case hexadecimal of `bytes` random bytes. */
  hex(bytes: number): string;
}

export const systemRandom: Random = {
  next: () => Math.random(),
  hex: (bytes) => randomBytes(bytes).toString('hex'),
};

/** A repeatable source (mulberry32, Tommy Ettinger). For tests and simulation, never for identifiers that must be unguessable. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const hex = (bytes: number): string => {
    let text = '';
    for (let i = 0; i < bytes; i += 1)
      text += Math.floor(next() * 256)
        .toString(16)
        .padStart(2, '0');
    return text;
  };
  return { next, hex };
}
