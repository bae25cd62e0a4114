import type { AppendOutcome, LogAppend, LogFilter, LogRecord, StreamName } from '../contract/commit-log.ts';

interface Entry extends LogRecord {
  readonly type: string;
  readonly epoch: number;
  trimmed: boolean;
}

/** What `records` found. */
export interface LogScan {
  readonly records: readonly LogRecord[];
  /** Everything that fits up to this sequence was looked at. */
  readonly through: number;
}

/** Removed records are swept out when there are so many of them, and more than there are others. */
const sweepLeast = 1_024;

/** The records of one log of one cluster. Every method is one atomic step. */
export class LogTable {
  readonly #keepsAll: boolean;
  readonly #streams = new Map<string, Map<string, Entry[]>>();
  readonly #observers = new Set<() => void>();
  /** In the order of their sequences, removed ones among them. */
  #entries: Entry[] = [];
  #trimmed = 0;
  #last = 0;

  /** `keepsAll`: false for a log that keeps the last record of each stream only. */
  constructor(keepsAll: boolean) {
    this.#keepsAll = keepsAll;
  }

  get last(): number {
    return this.#last;
  }

  append({ stream, expectedSequence, epoch, body }: LogAppend): AppendOutcome {
    const entries = this.#stream(stream) ?? [];
    const head = entries.at(-1);
    if ((head?.sequence ?? 0) !== expectedSequence || (head?.epoch ?? 0) > epoch) return { kind: 'conflict' };
    this.#last += 1;
    const entry: Entry = { sequence: this.#last, body, type: stream.type, epoch, trimmed: false };
    if (head === undefined) this.#newStream(stream, entries);
    entries.push(entry);
    this.#entries.push(entry);
    if (!this.#keepsAll) this.#trim(entries, entry.sequence);
    for (const observer of this.#observers) observer();
    return { kind: 'appended', sequence: entry.sequence };
  }

  /** At most `max` records above `after` and up to `upTo`, in order. */
  records({ types, stream }: LogFilter, after: number, upTo: number, max: number): LogScan {
    const entries = stream === undefined ? this.#entries : (this.#stream(stream) ?? []);
    const records: LogRecord[] = [];
    for (let i = firstAbove(entries, after); i < entries.length; i += 1) {
      const entry = entries[i] as Entry;
      if (entry.sequence > upTo) break;
      if (entry.trimmed || (types !== undefined && !types.includes(entry.type))) continue;
      if (records.length === max) return { records, through: (records.at(-1) as LogRecord).sequence };
      records.push({ sequence: entry.sequence, body: entry.body });
    }
    return { records, through: Math.max(after, upTo) };
  }

  trim(stream: StreamName, before: number): void {
    this.#trim(this.#stream(stream) ?? [], before);
  }

  /** Told of each append, during it. Must not throw. */
  observe(observer: () => void): void {
    this.#observers.add(observer);
  }

  unobserve(observer: () => void): void {
    this.#observers.delete(observer);
  }

  #stream({ type, key }: StreamName): Entry[] | undefined {
    return this.#streams.get(type)?.get(key);
  }

  #newStream({ type, key }: StreamName, entries: Entry[]): void {
    let keys = this.#streams.get(type);
    if (keys === undefined) this.#streams.set(type, (keys = new Map()));
    keys.set(key, entries);
  }

  #trim(entries: Entry[], before: number): void {
    const count = Math.min(firstAbove(entries, before - 1), entries.length - 1);
    if (count <= 0) return;
    for (const entry of entries.splice(0, count)) entry.trimmed = true;
    this.#trimmed += count;
    if (this.#trimmed < sweepLeast || this.#trimmed * 2 < this.#entries.length) return;
    this.#entries = this.#entries.filter((entry) => !entry.trimmed);
    this.#trimmed = 0;
  }
}

/** The index of the first entry with a higher sequence. */
function firstAbove(entries: readonly Entry[], sequence: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as Entry).sequence > sequence) high = middle;
    else low = middle + 1;
  }
  return low;
}
