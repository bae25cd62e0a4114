/** One thing that happened, for people. */
export interface TraceEntry {
  readonly atMs: number;
  readonly who: string;
  readonly what: string;
}

const keptMax = 4_000;

/**
 * What happened in a simulated world: a running hash of everything, by which two runs are compared to the byte, and the latest of what people
 * may want to read.
 */
export class Trace {
  readonly #numbers = new Float64Array(1);
  readonly #words = new Uint32Array(this.#numbers.buffer);
  readonly #told: ((entry: TraceEntry) => void) | undefined;
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;
  #count = 0;
  #kept: TraceEntry[] = [];

  constructor(told?: (entry: TraceEntry) => void) {
    this.#told = told;
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** How many things went into the hash. */
  get count(): number {
    return this.#count;
  }

  /** The latest entries, the oldest first. */
  get entries(): readonly TraceEntry[] {
    return this.#kept.slice(-keptMax);
  }

  /** Something with bytes: a frame. */
  bytes(atMs: number, who: string, content: Uint8Array): void {
    this.#number(atMs);
    this.#text(who);
    const { length } = content;
    this.#word(length);
    let at = 0;
    for (; at + 3 < length; at += 4)
      this.#word(
        (content[at] as number) |
          ((content[at + 1] as number) << 8) |
          ((content[at + 2] as number) << 16) |
          ((content[at + 3] as number) << 24),
      );
    for (; at < length; at += 1) this.#word(content[at] as number);
    this.#count += 1;
  }

  /** Something in words; only for the hash. */
  silent(atMs: number, who: string, what: string): void {
    this.#number(atMs);
    this.#text(who);
    this.#text(what);
    this.#count += 1;
  }

  /** Something in words that people may want to read. */
  note(atMs: number, who: string, what: string): void {
    this.silent(atMs, who, what);
    const entry = { atMs, who, what };
    this.#kept.push(entry);
    if (this.#kept.length > 2 * keptMax) this.#kept = this.#kept.slice(-keptMax);
    this.#told?.(entry);
  }

  #number(value: number): void {
    this.#numbers[0] = value;
    this.#word(this.#words[0] as number);
    this.#word(this.#words[1] as number);
  }

  #text(text: string): void {
    for (let i = 0; i < text.length; i += 1) this.#word(text.charCodeAt(i));
  }

  /** Two lanes: FNV-1a, and a multiplicative one that is fed by it. */
  #word(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#high = Math.imul((this.#high ^ this.#low) + word, 0x85ebca6b) ^ (this.#high >>> 13);
  }
}
