import { safeText } from '../base/log-text.ts';
import type { KeptRecords } from '../contract/store.ts';
import type { StoredEvent } from './stored-event.ts';

/** An event that a projection could not handle. The event itself stays in its stream. */
export interface DeadLetter {
  readonly position: number;
  readonly id: string;
  readonly type: string;
  readonly key: string;
  readonly event: string;
  /** When it was given up, in ms since 1970. */
  readonly at: number;
  readonly error: string;
}

/** A projection with more than so many dead letters stops: something else is wrong. */
export const deadLettersMax = 1_000;

/** Where projections put what they gave up, in the records of a store. */
export class DeadLetters {
  readonly #records: KeptRecords;

  constructor(records: KeptRecords) {
    this.#records = records;
  }

  /** False when the projection has `deadLettersMax` of them. The same event is put there once. Rejects with `store.unavailable`. */
  async put(projection: string, event: StoredEvent, error: unknown, at: number): Promise<boolean> {
    if ((await this.list(projection)).length >= deadLettersMax) return false;
    const { position, id, type, key, event: name } = event;
    const letter: DeadLetter = { position, id, type, key, event: name, at, error: safeText(error) };
    await this.#records.write(recordKey(projection, position), JSON.stringify(letter), 0);
    return true;
  }

  /** In the order of positions. */
  async list(projection: string): Promise<readonly DeadLetter[]> {
    const letters: DeadLetter[] = [];
    for await (const page of this.#records.list(`dead.${projection}.`)) {
      for (const { value } of page) letters.push(JSON.parse(value) as DeadLetter);
    }
    return letters.sort((a, b) => a.position - b.position);
  }

  /** Forgets one, once it has been dealt with. */
  async remove(projection: string, position: number): Promise<void> {
    const stored = await this.#records.read(recordKey(projection, position));
    if (stored !== undefined) await this.#records.forget(stored.key, stored.revision);
  }
}

const recordKey = (projection: string, position: number): string => `dead.${projection}.${position}`;
