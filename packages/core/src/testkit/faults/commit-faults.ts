/**
 * What becomes of one append. `lost`: not stored, no answer. `stored_unknown`: stored, no answer. `late`: no answer, and stored when `releaseLate` is
 * called, if it still may be. `stored_conflict`: stored and answered `conflict`, as when a repeat meets its own first attempt. `conflict`,
 * `unavailable`, `full`: answered so, not stored. `stored_late_answer`: stored, and answered `appended` only when `releaseLate` is called.
 */
export type AppendFault =
  'lost' | 'stored_unknown' | 'late' | 'stored_conflict' | 'conflict' | 'unavailable' | 'full' | 'stored_late_answer';

export const appendFaults: readonly AppendFault[] = [
  ...(['lost', 'stored_unknown', 'late', 'stored_conflict'] as const),
  ...(['conflict', 'unavailable', 'full', 'stored_late_answer'] as const),
];

/** What one node suffers at its store. Each verb holds until `heal`, also for a store that is opened later. */
export class CommitFaults {
  #isUnavailable = false;
  #isFull = false;
  #slowMs = 0;
  #staleAt: Readonly<Record<'events' | 'states', number>> | undefined;
  #appends: AppendFault[] = [];
  #breaksWith: 'lost' | 'stored_unknown' | undefined;
  readonly #late: (() => void)[] = [];

  get isUnavailable(): boolean {
    return this.#isUnavailable;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  get slowMs(): number {
    return this.#slowMs;
  }

  /** Reads of the log give no record above it; undefined: they give all. */
  staleAt(log: 'events' | 'states'): number | undefined {
    return this.#staleAt?.[log];
  }

  /** Appends are refused, everything else rejects with `store.unavailable`; nothing has an effect. */
  unavailable(): void {
    this.#isUnavailable = true;
  }

  /** The next append ends so, and with it the store becomes unavailable: the connection breaks with the append on its way. */
  breakAtAppend(fault: 'lost' | 'stored_unknown'): void {
    this.#breaksWith = fault;
  }

  /** Appends are refused as `full`, other writes reject. Reads work. */
  full(): void {
    this.#isFull = true;
  }

  /** Every call takes `ms`, half of it before its effect. */
  slow(ms: number): void {
    this.#slowMs = ms;
  }

  /**
   * Reads give what the logs hold up to a sequence, as a leader does that was deposed, and no less than the reader was told of its own appends.
   * Writes are compared with what is really there, and barriers are.
   */
  staleReads(events: number, states: number = events): void {
    this.#staleAt = { events, states };
  }

  /** The next `count` appends end so. Adds to what was asked for before. */
  nextAppends(fault: AppendFault, count: number = 1): void {
    for (let i = 0; i < count; i += 1) this.#appends.push(fault);
  }

  takeAppendFault(): AppendFault | undefined {
    if (this.#isUnavailable) return 'unavailable';
    const fault = this.#breaksWith ?? this.#appends.shift();
    this.#isUnavailable = this.#breaksWith !== undefined;
    return fault;
  }

  /** Keeps what is to happen late. */
  addLate(run: () => void): void {
    this.#late.push(run);
  }

  /** How much was kept back. */
  get lateCount(): number {
    return this.#late.length;
  }

  /** Lets happen what was kept back, in the order of the appends. */
  releaseLate(): void {
    for (const run of this.#late.splice(0)) run();
  }

  /** Ends every fault. What is late stays late until it is released; what was lost stays lost. */
  heal(): void {
    this.#isUnavailable = false;
    this.#isFull = false;
    this.#slowMs = 0;
    this.#staleAt = undefined;
    this.#appends = [];
    this.#breaksWith = undefined;
  }
}
