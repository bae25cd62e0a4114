import { type Durability, LogLimiter, type OpenStore, type ResolvedOptions, type StoreEnvironment } from '@perkey/core';
import type { DatabaseSync } from 'node:sqlite';
import type { FileLock } from './file-lock.ts';
import { type GroupAnswer, type LogName, logNames } from './group.ts';
import { GroupWriter } from './group-writer.ts';
import { LogReader } from './log-pages.ts';
import type { SqliteOptionTable } from './options.ts';
import { openForReading, type Synchronous } from './schema.ts';
import { SqliteCommitLog } from './sqlite-commit-log.ts';
import { SqliteKeptRecords } from './sqlite-kept-records.ts';
import { SqliteMetrics } from './sqlite-metrics.ts';
import { SqliteSnapshots } from './sqlite-snapshots.ts';
import { closedError, openingFailed, readFailed } from './store-errors.ts';

const durabilities: Readonly<Record<Synchronous, Durability>> = {
  full: {
    survivesKill: true,
    survivesPowerLoss: true,
    text: 'SQLite with synchronous=full: what was acknowledged was forced to the disk and survives a kill and a loss of power, as far as the disk keeps its word.',
  },
  normal: {
    survivesKill: true,
    survivesPowerLoss: false,
    text: 'SQLite with synchronous=normal: what was acknowledged survives a kill; a loss of power may lose the last of it, or a young file whole. Set synchronous to full.',
  },
  off: {
    survivesKill: true,
    survivesPowerLoss: false,
    text: 'SQLite with synchronous=off: what was acknowledged survives a kill; a loss of power may lose it all, or damage the file. Set synchronous to full.',
  },
};

/** The file is locked and stays so until the store is closed; when this rejects the caller releases it. */
export async function openSqlite(
  settings: ResolvedOptions<SqliteOptionTable>,
  environment: StoreEnvironment,
  lock: FileLock,
): Promise<OpenStore> {
  const { path, fileBytesMax, checkpointPages, waitingBytesMax } = settings;
  const { cluster, shards, clock, random, log } = environment;
  const synchronous = settings.synchronous as Synchronous;
  const limiter = new LogLimiter(clock);
  const metrics = new SqliteMetrics(environment.metrics);
  const logs = new Map<LogName, SqliteCommitLog>();
  const events = {
    onAppended: (appended: ReadonlySet<LogName>): void => {
      for (const name of appended) logs.get(name)?.wake();
    },
    onGroup: (answer: GroupAnswer): void => {
      metrics.countGroup(answer);
      const fault = [...answer.appends, ...answer.edits].find((result) => typeof result !== 'number');
      if (fault === undefined) return;
      const leftOut = limiter.allow(fault.reason);
      if (leftOut !== undefined)
        log.error({ store: 'sqlite', path, reason: fault.reason, detail: fault.text, leftOut }, 'a write to the store failed');
    },
    onGone: (text: string): void =>
      log.error({ store: 'sqlite', path, detail: text }, 'the store takes no more writes until it is opened again'),
  };
  const identity = { id: random.hex(16), cluster, shards };
  const started = await GroupWriter.start(
    { path, synchronous, fileBytesMax, checkpointPages, identity },
    { clock, waitingBytesMax, events },
  );
  if ('fault' in started) throw openingFailed(started.fault, path);
  const { writer, id } = started;
  try {
    const reader = openForReading(path);
    metrics.observe(() => writer.waitingBytes);
    for (const name of logNames) {
      const parts = { name, reader: new LogReader(reader, name), writer, clock, bodyBytesMax: settings.recordBytesMax };
      logs.set(name, new SqliteCommitLog(parts));
    }
    const close = closing({ writer, reader, lock, logs: [...logs.values()] });
    return {
      privateId: id,
      durability: durabilities[synchronous],
      events: logs.get('events') as SqliteCommitLog,
      states: logs.get('states') as SqliteCommitLog,
      snapshots: new SqliteSnapshots(reader, writer, settings.snapshotBytesMax),
      records: new SqliteKeptRecords(reader, writer),
      shardsHeld: async () => shardsHeld(reader),
      close,
    };
  } catch (error) {
    await writer.close();
    throw error;
  }
}

function shardsHeld(reader: DatabaseSync): readonly number[] {
  if (!reader.isOpen) throw closedError();
  try {
    return (reader.prepare('select shard from shards order by shard').all() as { shard: number }[]).map(({ shard }) => shard);
  } catch (error) {
    throw readFailed(error);
  }
}

interface Closing {
  readonly writer: GroupWriter;
  readonly reader: DatabaseSync;
  readonly lock: FileLock;
  readonly logs: readonly SqliteCommitLog[];
}

/** Once, however often it is called. The writing thread is the last to close the file, and so works the log beside it into it; the lock goes after it. */
function closing({ writer, reader, lock, logs }: Closing): () => Promise<void> {
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    for (const one of logs) one.close();
    reader.close();
    await writer.close();
    lock.release();
  };
  return () => (closed ??= close());
}
