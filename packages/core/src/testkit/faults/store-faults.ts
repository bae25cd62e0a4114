import { openPath } from './gate.ts';
import type { Path } from './gate.ts';
import type { RecordHistory } from './record-history.ts';

/**
 * `unavailable` and `refused`: answered so, and not applied. `applied-unavailable` and `applied-refused`: applied, and answered so all the
 * same, as after an answer that was lost or an attempt that the broker repeated.
 */
export type WriteFault = 'unavailable' | 'refused' | 'applied-unavailable' | 'applied-refused';

/** What one process suffers at one of its record stores. Each verb holds until `heal`. */
export class StoreFaults {
  /** What the watches of the process pass through, after its control link. */
  readonly watchPath: Path = openPath();
  readonly #history: RecordHistory;
  readonly #changed: () => void;
  #isUnavailable = false;
  #slowMs = 0;
  #staleLength: number | undefined;
  #writes: WriteFault[] = [];

  constructor(history: RecordHistory, changed: () => void) {
    this.#history = history;
    this.#changed = changed;
  }

  get isUnavailable(): boolean {
    return this.#isUnavailable;
  }

  get slowMs(): number {
    return this.#slowMs;
  }

  /** How much of the history reads see; undefined for all. */
  get staleLength(): number | undefined {
    return this.#staleLength;
  }

  /** Every call rejects with `store.unavailable` and has no effect. */
  unavailable(): void {
    this.#isUnavailable = true;
  }

  available(): void {
    this.#isUnavailable = false;
  }

  /** Every call takes `ms`, half of it before its effect; beyond the transport's `storeTimeoutMs` it rejects, though it takes effect. */
  slow(ms: number): void {
    this.#slowMs = ms;
  }

  /** The next `count` writes end so. Adds to what was asked for before. */
  nextWrites(fault: WriteFault, count: number = 1): void {
    for (let i = 0; i < count; i += 1) this.#writes.push(fault);
  }

  takeWriteFault(): WriteFault | undefined {
    return this.#writes.shift();
  }

  /** Reads see the records as they are now, whatever is written through the transport later. Writes and watches do not. */
  staleReads(): void {
    this.#staleLength = this.#history.entries.length;
  }

  freshReads(): void {
    this.#staleLength = undefined;
  }

  /** Watches are told nothing until `releaseWatches`, then everything. */
  holdWatches(): void {
    this.watchPath.held = true;
  }

  releaseWatches(): void {
    this.watchPath.held = false;
    this.#changed();
  }

  /** Watches are told everything `ms` late. */
  delayWatches(ms: number): void {
    this.watchPath.delayMs = ms;
  }

  /** Watches are told everything in time again. */
  mendWatches(): void {
    this.watchPath.delayMs = 0;
    this.releaseWatches();
  }

  heal(): void {
    this.available();
    this.#slowMs = 0;
    this.freshReads();
    this.#writes = [];
    this.mendWatches();
  }
}
