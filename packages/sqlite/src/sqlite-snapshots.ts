import { PerkeyError, type Snapshot, type SnapshotStore, type StreamName } from '@perkey/core';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { GroupWriter } from './group-writer.ts';
import { readFailed } from './store-errors.ts';

export class SqliteSnapshots implements SnapshotStore {
  readonly bodyBytesMax: number;
  readonly #writer: GroupWriter;
  readonly #load: StatementSync;

  constructor(database: DatabaseSync, writer: GroupWriter, bodyBytesMax: number) {
    this.#writer = writer;
    this.bodyBytesMax = bodyBytesMax;
    this.#load = database.prepare('select sequence, body from snapshots where type = ? and key = ? order by sequence desc limit ?');
  }

  async save({ type, key }: StreamName, { sequence, body }: Snapshot, kept: number): Promise<void> {
    const { length } = body;
    if (length > this.bodyBytesMax) {
      throw new PerkeyError('payload.too_large', `the snapshot has ${length} bytes, ${this.bodyBytesMax} fit`);
    }
    await this.#writer.edit({ kind: 'saveSnapshot', type, key, sequence, kept, body }, length);
  }

  async load({ type, key }: StreamName, max: number = -1): Promise<readonly Snapshot[]> {
    try {
      const rows = this.#load.all(type, Buffer.from(key), max) as unknown as Snapshot[];
      return rows.map(({ sequence, body }) => ({ sequence, body }));
    } catch (error) {
      throw readFailed(error);
    }
  }

  async forget({ type, key }: StreamName): Promise<void> {
    await this.#writer.edit({ kind: 'forgetSnapshots', type, key });
  }
}
