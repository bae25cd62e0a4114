import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { faultOf } from './file-fault.ts';
import {
  type Edit,
  type Group,
  type GroupAnswer,
  type GroupFault,
  type LogName,
  logNames,
  type UnpackedAppend,
  unpackAppends,
} from './group.ts';
import { LogWriter } from './log-writer.ts';

/** An append or an edit of a group, by its place: appends first. */
type Place = number;

/**
 * Writes groups, each as one transaction. Upholds: what is answered with a sequence or a revision was committed, as lasting as the file's
 * settings make it; a fault that is `certain` left nothing behind. A write that spoils its group spoils no other.
 */
export class FileWriter {
  readonly #database: DatabaseSync;
  readonly #logs: readonly LogWriter[];
  readonly #edits: EditStatements;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  #transactions = 0;
  #commitMs = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#logs = logNames.map((name) => new LogWriter(database, name));
    this.#edits = new EditStatements(database);
    this.#begin = database.prepare('begin immediate');
    this.#commit = database.prepare('commit');
  }

  run(group: Group): GroupAnswer {
    const startedAt = performance.now();
    const appends = unpackAppends(group.appends);
    const { edits } = group;
    const count = appends.length;
    const places = Array.from({ length: count + edits.length }, (_, place) => place);
    const write = (place: Place): number =>
      place < count ? this.#append(appends[place] as UnpackedAppend) : this.#edits.run(edits[place - count] as Edit, this.#logs);
    this.#transactions = 0;
    this.#commitMs = 0;
    const results = this.#write(places, write);
    const seconds = (performance.now() - startedAt) / 1_000;
    return {
      appends: results.slice(0, count),
      edits: results.slice(count),
      transactions: this.#transactions,
      seconds,
      commitSeconds: this.#commitMs / 1_000,
    };
  }

  /** In the order of the places: a group that does not work as a whole is tried by halves. */
  #write(places: readonly Place[], write: (place: Place) => number): readonly (number | GroupFault)[] {
    const whole = this.#transaction(places, write);
    if (whole !== undefined) return whole;
    const middle = places.length >> 1;
    return [...this.#write(places.slice(0, middle), write), ...this.#write(places.slice(middle), write)];
  }

  /** `undefined`: one of many failed, and nothing was written. */
  #transaction(places: readonly Place[], write: (place: Place) => number): (number | GroupFault)[] | undefined {
    let step: 'begin' | 'write' | 'commit' = 'begin';
    this.#transactions += 1;
    try {
      this.#begin.run();
      step = 'write';
      for (const log of this.#logs) log.begin();
      const results = places.map(write);
      for (const log of this.#logs) log.flush();
      step = 'commit';
      const commitAt = performance.now();
      this.#commit.run();
      this.#commitMs += performance.now() - commitAt;
      return results;
    } catch (error) {
      const fault = faultOf(error);
      if (this.#database.isTransaction) this.#database.exec('rollback');
      for (const log of this.#logs) log.takenBack();
      // A full disk leaves the record that ends the transaction unwritten. After any other failure of the commit it may be on the disk.
      const certain = step !== 'commit' || fault.reason === 'full';
      if (certain && step !== 'begin' && places.length > 1) return undefined;
      return places.map(() => ({ ...fault, certain }));
    }
  }

  #append(append: UnpackedAppend): number {
    return (this.#logs[append.log] as LogWriter).append(append);
  }
}

class EditStatements {
  readonly #saveSnapshot: StatementSync;
  readonly #dropSnapshots: StatementSync;
  readonly #forgetSnapshots: StatementSync;
  readonly #nextRevision: StatementSync;
  readonly #createRecord: StatementSync;
  readonly #changeRecord: StatementSync;
  readonly #forgetRecord: StatementSync;

  constructor(database: DatabaseSync) {
    this.#saveSnapshot = database.prepare(
      'insert into snapshots (type, key, sequence, body) values (?, ?, ?, ?) on conflict do update set body = excluded.body',
    );
    this.#dropSnapshots = database.prepare(
      `delete from snapshots where type = ?1 and key = ?2 and sequence not in
        (select sequence from snapshots where type = ?1 and key = ?2 order by sequence desc limit ?3)`,
    );
    this.#forgetSnapshots = database.prepare('delete from snapshots where type = ? and key = ?');
    this.#nextRevision = database.prepare('update store set revision = revision + 1 returning revision');
    this.#createRecord = database.prepare('insert into records (key, value, revision) values (?, ?, ?) on conflict do nothing');
    this.#changeRecord = database.prepare('update records set value = ?, revision = ? where key = ? and revision = ?');
    this.#forgetRecord = database.prepare('delete from records where key = ? and revision <= ?');
  }

  run(edit: Edit, logs: readonly LogWriter[]): number {
    switch (edit.kind) {
      case 'saveSnapshot': {
        const key = Buffer.from(edit.key);
        this.#saveSnapshot.run(edit.type, key, edit.sequence, edit.body);
        this.#dropSnapshots.run(edit.type, key, Math.max(1, edit.kept));
        return 0;
      }
      case 'forgetSnapshots':
        this.#forgetSnapshots.run(edit.type, Buffer.from(edit.key));
        return 0;
      case 'writeRecord':
        return this.#writeRecord(edit.key, Buffer.from(edit.value), edit.expectedRevision);
      case 'forgetRecord':
        this.#forgetRecord.run(edit.key, edit.upToRevision);
        return 0;
      case 'removeRecords':
        logs[logNames.indexOf(edit.log satisfies LogName)]?.remove(edit.sequences);
        return 0;
    }
  }

  /** A revision that a refused write used up is left out. */
  #writeRecord(key: string, value: Uint8Array, expected: number): number {
    const { revision } = this.#nextRevision.get() as { revision: number };
    const { changes } =
      expected === 0 ? this.#createRecord.run(key, value, revision) : this.#changeRecord.run(value, revision, key, expected);
    return Number(changes) === 1 ? revision : 0;
  }
}
