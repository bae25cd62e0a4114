import { shardOf } from '../base/hash.ts';

const keysMax = 100_000;
const bucketCount = 4_096;

/**
 * The appends of which nobody knows yet whether they are stored: the sequence that each expected, by the actor's key. Bounded: of keys that were
 * let go only a bucket is known, and every key of that bucket counts as doubtful, which costs a fence and nothing else.
 */
export class Doubts {
  readonly #keysMax: number;
  readonly #byKey = new Map<string, number>();
  #letGo: Uint8Array | undefined = undefined;

  constructor(max: number = keysMax) {
    this.#keysMax = max;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** An append is sent. */
  begin(key: string, expectedSequence: number): void {
    this.#byKey.set(key, expectedSequence);
    if (this.#byKey.size <= this.#keysMax) return;
    const [oldest] = this.#byKey.keys();
    if (oldest === undefined) return;
    this.#byKey.delete(oldest);
    this.#letGo ??= new Uint8Array(bucketCount);
    this.#letGo[shardOf(oldest, bucketCount)] = 1;
  }

  /** It is known what became of the append that expected this; one that was sent since stays in doubt. */
  end(key: string, expectedSequence: number): void {
    if (this.#byKey.get(key) === expectedSequence) this.#byKey.delete(key);
  }

  /** Whether an append that expects this sequence may still be stored. */
  isDoubtful(key: string, lastSequence: number): boolean {
    const known = this.#byKey.get(key);
    return known === undefined ? this.#letGo?.[shardOf(key, bucketCount)] === 1 : known === lastSequence;
  }

  /** The sequence that the append in doubt expected. */
  of(key: string): number | undefined {
    return this.#byKey.get(key);
  }
}
