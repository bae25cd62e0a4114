import { PerkeyError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import type { RecordListener, RecordStore, StoredRecord, Watch, WriteOutcome } from '../../contract/record-store.ts';
import type { RecordTable } from '../../memory/record-table.ts';
import type { VirtualClock } from '../virtual-clock.ts';

/** What the stores suffer, for all processes. */
export interface Weather {
  readonly wires: VirtualClock;
  readonly random: Random;
  /** Until then no call takes effect; by the clock of the wires. */
  downUntil: number;
  /** How likely a call ends as none should. */
  faults: number;
}

/** What one process suffers. */
export interface Cable {
  readonly clock: VirtualClock;
  /** Nothing that it sends arrives. */
  isMute: boolean;
  /** Nothing that is sent to it arrives. */
  isDeaf: boolean;
}

type Fate = 'good' | 'lost' | 'late' | 'unanswered' | 'denied' | 'denied though applied';

const fates: readonly Fate[] = ['lost', 'late', 'unanswered', 'denied', 'denied though applied'];

/** Everything that was written to one table, so that reads may be stale. */
export class TableHistory {
  readonly #byKey = new Map<string, StoredRecord[]>();
  readonly table: RecordTable;

  constructor(table: RecordTable) {
    this.table = table;
    table.observe((record) => {
      const versions = this.#byKey.get(record.key);
      if (versions) versions.push(record);
      else this.#byKey.set(record.key, [record]);
    });
  }

  /** The record as it was `back` writes ago. */
  ago(key: string, back: number): StoredRecord | undefined {
    return this.#byKey.get(key)?.at(-1 - back);
  }
}

/** A record store between one process and a table, with every surprise that the contract of stores allows. */
export class ChaosStore implements RecordStore {
  readonly #weather: Weather;
  readonly #cable: Cable;
  readonly #history: TableHistory;
  readonly #by: string;
  readonly #onApplied: (record: StoredRecord, by: string) => void;
  readonly #onSent: (key: string, value: string) => void;

  constructor(
    weather: Weather,
    cable: Cable,
    history: TableHistory,
    seen: {
      readonly by: string;
      readonly onApplied: (record: StoredRecord, by: string) => void;
      readonly onSent?: (key: string, value: string) => void;
    },
  ) {
    this.#weather = weather;
    this.#cable = cable;
    this.#history = history;
    this.#by = seen.by;
    this.#onApplied = seen.onApplied;
    this.#onSent = seen.onSent ?? (() => {});
  }

  write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    const by = this.#by;
    this.#onSent(key, value);
    const effect = (): WriteOutcome => {
      const outcome = this.#history.table.write(key, value, expectedRevision);
      if (outcome.applied) this.#onApplied({ key, value, revision: outcome.revision }, by);
      return outcome;
    };
    return this.#call(effect, { applied: false });
  }

  read(key: string): Promise<StoredRecord | undefined> {
    const { random, faults } = this.#weather;
    const back = random.next() < faults ? 1 + Math.floor(random.next() * 3) : 0;
    return this.#call(() => (back > 0 ? this.#history.ago(key, back) : this.#history.table.read(key)), undefined);
  }

  forget(key: string, upToRevision: number): Promise<void> {
    return this.#call(() => this.#history.table.forget(key, upToRevision), undefined);
  }

  watch(listener: RecordListener): Promise<Watch> {
    const watch = new ChaosWatch(this.#weather, this.#cable, this.#history.table, listener);
    return Promise.resolve(watch);
  }

  #call<T>(effect: () => T, denial: T): Promise<T> {
    const { wires, random, downUntil, faults } = this.#weather;
    const { clock, isMute, isDeaf } = this.#cable;
    const fate = this.#fate(downUntil > wires.now() || isMute, isDeaf, faults);
    return new Promise((resolve, reject) => {
      const after = (delayMs: number, run: () => void): void => {
        if (delayMs <= 0) run();
        else wires.setTimer(delayMs, run);
      };
      const answer = (delayMs: number, value: T): void => after(delayMs, () => clock.defer(() => resolve(value)));
      const noAnswer = (): void => {
        const error = new PerkeyError('store.unavailable', 'no answer');
        after(random.next() < 0.3 ? 1 : 100 + random.next() * 900, () => clock.defer(() => reject(error)));
      };
      const beforeMs = delay(random, faults);
      const afterMs = delay(random, faults);
      switch (fate) {
        case 'good':
          after(beforeMs, () => answer(afterMs, effect()));
          return;
        case 'lost':
          noAnswer();
          return;
        case 'late':
          noAnswer();
          wires.setTimer(random.next() * 3_000, effect);
          return;
        case 'unanswered':
          after(beforeMs, effect);
          noAnswer();
          return;
        case 'denied':
          answer(afterMs, denial);
          return;
        case 'denied though applied':
          after(beforeMs, () => {
            effect();
            answer(afterMs, denial);
          });
      }
    });
  }

  #fate(isLost: boolean, isDeaf: boolean, faults: number): Fate {
    const { random } = this.#weather;
    if (isLost) return random.next() < 0.1 ? 'late' : 'lost';
    if (isDeaf) return 'unanswered';
    if (random.next() >= faults) return 'good';
    return fates[Math.floor(random.next() * fates.length)] ?? 'good';
  }
}

/** Mostly none. */
function delay(random: Random, faults: number): number {
  const roll = random.next();
  if (roll < 0.6) return 0;
  if (faults > 0 && roll > 0.97) return random.next() * (roll > 0.98 ? 400 : 900);
  return random.next() * 5;
}

/** Delivers in order per key, late, with steps left out, and now and then everything anew. */
class ChaosWatch implements Watch {
  readonly #weather: Weather;
  readonly #cable: Cable;
  readonly #table: RecordTable;
  readonly #listener: RecordListener;
  readonly #observer = (record: StoredRecord): void => this.#push(record);
  #queue: StoredRecord[] = [];
  #isFlushing = false;
  #isStopped = false;

  constructor(weather: Weather, cable: Cable, table: RecordTable, listener: RecordListener) {
    this.#weather = weather;
    this.#cable = cable;
    this.#table = table;
    this.#listener = listener;
    table.observe(this.#observer);
    this.#resync();
  }

  stop(): void {
    this.#isStopped = true;
    this.#table.unobserve(this.#observer);
  }

  #push(record: StoredRecord): void {
    this.#queue.push(record);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    const { wires, random, faults } = this.#weather;
    const isSlow = random.next() < faults / 4;
    const delayMs = isSlow ? random.next() * 1_500 : random.next() * 3;
    wires.setTimer(delayMs, () => this.#flush());
  }

  #flush(): void {
    const { wires, random, faults } = this.#weather;
    if (this.#isStopped) return;
    if (this.#cable.isDeaf) {
      wires.setTimer(100, () => this.#flush());
      return;
    }
    this.#isFlushing = false;
    if (random.next() < faults / 8) {
      this.#resync();
      return;
    }
    const batch = this.#queue;
    this.#queue = [];
    const isLeftOut = (record: StoredRecord, at: number): boolean =>
      random.next() < 0.5 && batch.some((later, i) => i > at && later.key === record.key);
    this.#deliver(batch.filter((record, at) => !isLeftOut(record, at)));
  }

  #resync(): void {
    this.#queue = [];
    this.#deliver([...this.#table.records()].sort((a, b) => a.revision - b.revision));
    this.#cable.clock.defer(() => {
      if (!this.#isStopped) this.#listener.onSynced();
    });
  }

  #deliver(batch: readonly StoredRecord[]): void {
    this.#cable.clock.defer(() => {
      for (const record of batch) if (!this.#isStopped) this.#listener.onRecord(record);
    });
  }
}
