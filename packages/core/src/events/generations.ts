import { PerkeyError } from '../base/errors.ts';
import type { KeptRecords } from '../contract/store.ts';

/** One build of a projection's read model. */
export interface Generation {
  readonly number: number;
  /** Of the definition that builds it. */
  readonly version: number;
  /** What has a higher position was appended after the generation began. */
  readonly liveAfter: number;
}

/** What is kept of a projection beside its checkpoints. */
export interface Generations {
  /** The one to be read; absent until the first has caught up. */
  readonly live: Generation | undefined;
  /** One that catches up beside it. */
  readonly building: Generation | undefined;
}

type Change = (now: Generations) => Generations | undefined;

const none: Generations = Object.freeze({ live: undefined, building: undefined });
const attemptsMax = 20;

/** The generations of projections, in the records of a store; each change is a compare-and-set, so that all nodes see the same steps. */
export class GenerationRecords {
  readonly #records: KeptRecords;

  constructor(records: KeptRecords) {
    this.#records = records;
  }

  /** Rejects with `store.unavailable`. */
  async read(name: string): Promise<Generations> {
    return parse(name, (await this.#records.read(key(name)))?.value);
  }

  /** There is a generation for `version`: the live one, or one that is being built. `end` is the position of the last event. */
  begin(name: string, version: number, end: number): Promise<Generations> {
    return this.#change(name, (now) => {
      if (now.live?.version === version || now.building?.version === version) return undefined;
      // An older definition that still runs somewhere does not undo what a newer one began.
      if (now.live !== undefined && now.live.version > version) return undefined;
      if (now.building !== undefined && now.building.version > version) return undefined;
      return { ...now, building: next(now, version, end) };
    });
  }

  /** A further build from zero by the definition of the live one. */
  rebuild(name: string, end: number): Promise<Generations> {
    return this.#change(name, (now) => {
      if (now.live === undefined) return undefined;
      return { ...now, building: next(now, now.live.version, end) };
    });
  }

  /** The build has caught up: it is the live one from now on. */
  switchTo(name: string, generation: number): Promise<Generations> {
    return this.#change(name, (now) => {
      if (now.building?.number !== generation) return undefined;
      return { live: now.building, building: undefined };
    });
  }

  async #change(name: string, change: Change): Promise<Generations> {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const stored = await this.#records.read(key(name));
      const now = parse(name, stored?.value);
      const changed = change(now);
      if (changed === undefined) return now;
      const outcome = await this.#records.write(key(name), JSON.stringify(changed), stored?.revision ?? 0);
      if (outcome.applied) return changed;
    }
    throw new PerkeyError('store.unavailable', `the record of projection ${name} changed again and again`);
  }
}

function next(now: Generations, version: number, end: number): Generation {
  const number = Math.max(now.live?.number ?? 0, now.building?.number ?? 0) + 1;
  return { number, version, liveAfter: end };
}

function parse(name: string, value: string | undefined): Generations {
  if (value === undefined) return none;
  try {
    const { live, building } = JSON.parse(value) as Record<string, unknown>;
    return { live: asGeneration(live), building: asGeneration(building) };
  } catch {
    throw new PerkeyError('stream.corrupt', `the record of projection ${name} cannot be read; remove it to begin at zero`);
  }
}

function asGeneration(value: unknown): Generation | undefined {
  if (value === undefined) return undefined;
  const { number, version, liveAfter } = value as Record<string, unknown>;
  if (![number, version, liveAfter].every(Number.isSafeInteger)) throw new TypeError('not a generation');
  return value as Generation;
}

const key = (name: string): string => `projection.${name}`;
