import { PerkeyError } from '../base/errors.ts';
import type { KeptRecords } from '../contract/store.ts';

/** How far a projection has come. */
export interface Checkpoint {
  /** Everything up to this position has been handled. */
  readonly position: number;
  /** The epoch under which it was saved: a fencing token, which only rises. */
  readonly epoch: number;
}

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

  /** False: somebody has saved one under a later epoch. Rejects with `store.unavailable`; it may have been saved then, and saving it again shows that. */
  async save(name: string, checkpoint: Checkpoint): Promise<boolean> {
    const value = JSON.stringify(checkpoint);
    const outcome = await this.#records.write(key(name), value, this.#known.get(name) ?? 0);
    if (outcome.applied) {
      this.#known.set(name, outcome.revision);
      return true;
    }
    // The refusal may be of one's own write, applied before, or a former owner has saved its last one meanwhile.
    const found = await this.#read(name);
    if (found !== undefined && found.checkpoint.epoch > checkpoint.epoch) return false;
    this.#known.set(name, found?.revision ?? 0);
    const isOwn = found?.checkpoint.epoch === checkpoint.epoch && found.checkpoint.position === checkpoint.position;
    return isOwn || this.save(name, checkpoint);
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
