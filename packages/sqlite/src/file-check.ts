import type { DatabaseSync } from 'node:sqlite';
import { faultOf } from './file-fault.ts';
import { logNames } from './group.ts';
import { checkKind, openForReading } from './schema.ts';

export interface SqliteReport {
  readonly streams: number;
  readonly records: number;
  /** In words; empty for a sound file. */
  readonly problems: readonly string[];
}

/** Of one kind; the rest is left out. */
const problemsMax = 100;

/** Throws what keeps the file from being read at all. */
export function checkFile(path: string): SqliteReport {
  const database = openForReading(path);
  try {
    checkKind(database, path);
    const problems: string[] = [];
    const totals = { streams: 0, records: 0 };
    collect(problems, () => integrity(database));
    for (const log of logNames) {
      collect(problems, () => checkLog(database, log));
      collect(problems, () => {
        totals.streams += count(database, `${log}_streams`);
        totals.records += count(database, `${log}_records`);
        return [];
      });
    }
    return { ...totals, problems };
  } finally {
    database.close();
  }
}

function collect(problems: string[], look: () => readonly string[]): void {
  try {
    problems.push(...look());
  } catch (error) {
    problems.push(faultOf(error).text);
  }
}

function integrity(database: DatabaseSync): readonly string[] {
  const rows = database.prepare(`pragma integrity_check(${problemsMax})`).all() as { integrity_check: string }[];
  return rows.map((row) => row.integrity_check).filter((text) => text !== 'ok');
}

/** Trimming leaves a record whose predecessor is gone; everything else has to fit. */
function checkLog(database: DatabaseSync, log: string): readonly string[] {
  const heads = database
    .prepare(
      `select s.id, s.last, (select max(sequence) from ${log}_records r where r.sequence = s.last and r.stream = s.id) as found
        from ${log}_streams s where found is null limit ${problemsMax}`,
    )
    .all() as { id: number; last: number }[];
  const links = database
    .prepare(
      `select r.sequence, r.previous from ${log}_records r left join ${log}_streams s on s.id = r.stream
        left join ${log}_records p on p.sequence = r.previous
        where s.id is null or r.previous >= r.sequence or r.sequence > s.last or p.stream <> r.stream limit ${problemsMax}`,
    )
    .all() as { sequence: number }[];
  const strays = database
    .prepare(
      `select sequence from ${log}_records where sequence not in (select previous from ${log}_records)
        and sequence not in (select last from ${log}_streams) limit ${problemsMax}`,
    )
    .all() as { sequence: number }[];
  return [
    ...heads.map(({ id, last }) => `${log}: the last record of stream ${id} should be ${last}, which is not there`),
    ...links.map(({ sequence }) => `${log}: record ${sequence} does not fit its stream or the record before it`),
    ...strays.map(({ sequence }) => `${log}: record ${sequence} is followed by none, and is not the last of its stream`),
  ];
}

function count(database: DatabaseSync, table: string): number {
  return (database.prepare(`select count(*) as count from ${table}`).get() as { count: number }).count;
}
