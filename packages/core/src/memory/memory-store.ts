import type { Durability, OpenStore, Store, StoreEnvironment } from '../contract/store.ts';
import { LogTable } from './log-table.ts';
import { MemoryCommitLog } from './memory-commit-log.ts';
import { MemoryKeptRecords } from './memory-kept-records.ts';
import { MemorySnapshots } from './memory-snapshots.ts';
import type { SnapshotTable } from './memory-snapshots.ts';
import { RecordTable } from './record-table.ts';
import { StoreAnswers } from './store-answers.ts';

export interface MemoryStoreOptions {
  /** Largest record, in bytes. Default 1,000,000. */
  readonly recordBytesMax?: number | undefined;
  /** Largest snapshot, in bytes. Default 16,000,000. */
  readonly snapshotBytesMax?: number | undefined;
}

/** What one cluster keeps. */
interface Tables {
  readonly events: LogTable;
  readonly states: LogTable;
  readonly snapshots: SnapshotTable;
  readonly records: RecordTable;
}

const durability: Durability = Object.freeze({
  survivesKill: false,
  survivesPowerLoss: false,
  text: 'What is stored lives in the memory of this process and ends with it; use SQLite or JetStream for what has to stay.',
});

/**
 * A store in the memory of this process. It outlives the nodes that open it and is shared by those that are given the same object, which all
 * have to be of this process. Its clusters are apart.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const { recordBytesMax = 1_000_000, snapshotBytesMax = 16_000_000 } = options;
  const clusters = new Map<string, Tables>();
  const tablesOf = (cluster: string): Tables => {
    let tables = clusters.get(cluster);
    if (tables === undefined) {
      tables = { events: new LogTable(true), states: new LogTable(false), snapshots: new Map(), records: new RecordTable() };
      clusters.set(cluster, tables);
    }
    return tables;
  };
  return {
    name: 'memory',
    open: (environment) => Promise.resolve(openTables(tablesOf(environment.cluster), environment, recordBytesMax, snapshotBytesMax)),
  };
}

function openTables(tables: Tables, { clock }: StoreEnvironment, recordBytesMax: number, snapshotBytesMax: number): OpenStore {
  const answers = new StoreAnswers(clock);
  return {
    privateId: undefined,
    shardsHeld: () => Promise.resolve([]),
    durability,
    events: new MemoryCommitLog(tables.events, answers, recordBytesMax),
    states: new MemoryCommitLog(tables.states, answers, recordBytesMax),
    snapshots: new MemorySnapshots(tables.snapshots, answers, snapshotBytesMax),
    records: new MemoryKeptRecords(tables.records, answers),
    close: () => answers.close(),
  };
}
