import type { Clock } from '../../base/clock.ts';
import type { KeptRecords } from '../../contract/store.ts';
import type { WakeMetrics } from './wake-metrics.ts';
import type { WakeSettings } from './settings.ts';
import { readWake, type Wake, wakePrefix } from './wake.ts';

export interface WakeListsOptions {
  readonly records: KeptRecords;
  readonly clock: Clock;
  readonly settings: WakeSettings;
  readonly metrics: WakeMetrics;
  readonly backoffMs: (tries: number) => number;
  readonly onWakes: (shard: number, epoch: number, wakes: readonly Wake[]) => void;
  readonly onFailure: (thrown: unknown) => void;
  /** A wake was written under a later epoch. */
  readonly onFenced: (shard: number, epoch: number) => void;
  /** There is a time at which `next` is to be asked again. */
  readonly onChange: () => void;
}

class Listed {
  readonly epoch: number;
  /** Monotonic ms. */
  nextAt: number;
  tries = 0;
  looks = 0;
  isUnderWay = false;
  /** Not everything that it found could be kept. */
  isCut = false;

  constructor(epoch: number, nextAt: number) {
    this.epoch = epoch;
    this.nextAt = nextAt;
  }
}

/** What a former owner sent shortly before it lost the shard is there by then. */
const secondLookMs = 30_000;
const atOnceMax = 4;

/** Looks for the wakes of the shards that this node owns: when one opens, soon after that, and then now and again. */
export class WakeLists {
  readonly #o: WakeListsOptions;
  readonly #shards = new Map<number, Listed>();
  #underWay = 0;

  constructor(options: WakeListsOptions) {
    this.#o = options;
  }

  open(shard: number, epoch: number): void {
    this.#shards.set(shard, new Listed(epoch, this.#o.clock.now()));
    this.step();
  }

  close(shard: number): void {
    this.#shards.delete(shard);
  }

  epochOf(shard: number): number | undefined {
    return this.#shards.get(shard)?.epoch;
  }

  /** There was no room for a wake of the shard. */
  cut(shard: number): void {
    const listed = this.#shards.get(shard);
    if (listed !== undefined) listed.isCut = true;
  }

  /** There is room again: looks again at what was cut. */
  refill(): void {
    const now = this.#o.clock.now();
    for (const listed of this.#shards.values()) {
      if (!listed.isCut || listed.isUnderWay) continue;
      listed.isCut = false;
      listed.nextAt = Math.min(listed.nextAt, now);
    }
    this.step();
  }

  get isCut(): boolean {
    for (const { isCut } of this.#shards.values()) if (isCut) return true;
    return false;
  }

  /** When the next look is due, monotonic ms. */
  get nextAt(): number {
    if (this.#underWay >= atOnceMax) return Infinity;
    let at = Infinity;
    for (const { nextAt, isUnderWay } of this.#shards.values()) if (!isUnderWay) at = Math.min(at, nextAt);
    return at;
  }

  step(): void {
    const now = this.#o.clock.now();
    for (const [shard, listed] of this.#shards) {
      if (this.#underWay >= atOnceMax) return;
      if (!listed.isUnderWay && listed.nextAt <= now) void this.#look(shard, listed);
    }
  }

  async #look(shard: number, listed: Listed): Promise<void> {
    const { records, clock, settings, metrics, backoffMs, onWakes, onFailure, onFenced, onChange } = this.#o;
    let latest = listed.epoch;
    listed.isUnderWay = true;
    this.#underWay += 1;
    try {
      metrics.lists.inc();
      for await (const page of records.list(wakePrefix(shard))) {
        if (this.#shards.get(shard) !== listed) break;
        const until = clock.wall() + settings.wakeHorizonMs;
        const wakes = page.map(({ value }) => readWake(value)).filter((wake) => wake !== undefined);
        for (const { epoch } of wakes) latest = Math.max(latest, epoch);
        onWakes(
          shard,
          listed.epoch,
          wakes.filter(({ dueAt, epoch }) => dueAt <= until && epoch <= listed.epoch),
        );
      }
      listed.tries = 0;
      listed.looks += 1;
      listed.nextAt = clock.now() + (listed.looks === 1 ? Math.min(secondLookMs, settings.wakeHorizonMs / 2) : settings.wakeHorizonMs / 2);
    } catch (thrown) {
      listed.tries += 1;
      listed.nextAt = clock.now() + backoffMs(listed.tries);
      onFailure(thrown);
    }
    listed.isUnderWay = false;
    this.#underWay -= 1;
    if (latest > listed.epoch && this.#shards.get(shard) === listed) onFenced(shard, latest);
    this.step();
    onChange();
  }
}
