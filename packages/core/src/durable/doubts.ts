import { shardOf } from '../base/hash.ts';

const keysMax = 100_000;
const bucketCount = 4_096;

/**
 * What a read of a stream has to show to be believed where the log itself has not said how far the stream goes: its last record lies above the
 * sequence that stands here for the actor's key. For an append of which nobody knows yet whether it is stored that is the sequence that it expected;
 * for one of which only a read has told, the one below what was read: a later read may come from a leader that was deposed, and show less.
 * Bounded: of keys that were let go only a bucket is known, and every key of that bucket counts as doubtful, which costs a fence and nothing else.
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

  /** The log itself said what became of the append that expected this, or that what was read is the newest; one that was sent since stays in doubt. */
  end(key: string, expectedSequence: number): void {
    if (this.#byKey.get(key) === expectedSequence) this.#byKey.delete(key);
  }

  /** A read has shown what became of it: a stream with this last record. */
  seen(key: string, expectedSequence: number, lastSequence: number): void {
    if (this.#byKey.get(key) === expectedSequence) this.#byKey.set(key, lastSequence - 1);
  }

  /** Whether something may come behind this last record, or is there already and was not read. */
  isDoubtful(key: string, lastSequence: number): boolean {
    const known = this.#byKey.get(key);
    return known === undefined ? this.#letGo?.[shardOf(key, bucketCount)] === 1 : known >= lastSequence;
  }

  /** What the last record has to lie above. */
  of(key: string): number | undefined {
    return this.#byKey.get(key);
  }
}
