import { PerkeyError } from '../base/errors.ts';
import type { KeptRecords } from '../contract/store.ts';

/** How far a projection has come. */
export interface Checkpoint {
  /** Everything up to this position has been handled. */
  readonly position: number;
  /** The epoch under which it was saved: a fencing token, which only rises. */
  readonly epoch: number;
}

/** A leader that was deposed shows an older one for as long as it answers: whoever saves tries again later. */
const attemptsMax = 5;

interface Found {
  readonly checkpoint: Checkpoint;
  readonly revision: number;
}

/**
 * Checkpoints in the records of a store. Each save is a compare-and-set on the one before: once the owner of a later epoch has saved one, a former
 * owner can move it neither on nor back.
 */
export class Checkpoints {
  readonly #records: KeptRecords;
  readonly #known = new Map<string, number>();

  constructor(records: KeptRecords) {
    this.#records = records;
  }

  /** Rejects with `store.unavailable`. */
  async load(name: string): Promise<Checkpoint | undefined> {
    const found = await this.#read(name);
    this.#known.set(name, found?.revision ?? 0);
    return found?.checkpoint;
  }

  /**
   * Undefined: it is saved. Else the later epoch under which somebody has saved one. Rejects with `store.unavailable`; it may have been saved then, and
   * saving it again shows that.
   */
  async save(name: string, checkpoint: Checkpoint): Promise<number | undefined> {
    const value = JSON.stringify(checkpoint);
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const outcome = await this.#records.write(key(name), value, this.#known.get(name) ?? 0);
      if (outcome.applied) {
        this.#known.set(name, outcome.revision);
        return undefined;
      }
      // The refusal may be of one's own write, applied before, or a former owner has saved its last one meanwhile.
      const found = await this.#read(name);
      if (found !== undefined && found.checkpoint.epoch > checkpoint.epoch) return found.checkpoint.epoch;
      this.#known.set(name, found?.revision ?? 0);
      if (found?.checkpoint.epoch === checkpoint.epoch && found.checkpoint.position === checkpoint.position) return undefined;
    }
    throw new PerkeyError(
      'store.unavailable',
      `the checkpoint ${name} was refused again and again: what is read of it is not the last one`,
    );
  }

  async forget(name: string): Promise<void> {
    const found = await this.#records.read(key(name));
    if (found !== undefined) await this.#records.forget(key(name), found.revision);
    this.#known.delete(name);
  }

  async #read(name: string): Promise<Found | undefined> {
    const stored = await this.#records.read(key(name));
    if (stored === undefined) return undefined;
    try {
      const { position, epoch } = JSON.parse(stored.value) as Record<string, unknown>;
      if (Number.isSafeInteger(position) && Number.isSafeInteger(epoch)) {
        return { checkpoint: { position: position as number, epoch: epoch as number }, revision: stored.revision };
      }
    } catch {
      // Told below.
    }
    throw new PerkeyError('stream.corrupt', `the checkpoint ${name} cannot be read; remove it to begin at zero`);
  }
}

const key = (name: string): string => `checkpoint.${name}`;
