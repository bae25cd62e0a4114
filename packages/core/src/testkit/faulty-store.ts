import type { Clock } from '../base/clock.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { KeptRecords, OpenStore, SnapshotStore, Store, StoreEnvironment } from '../contract/store.ts';
import { CommitFaults } from './faults/commit-faults.ts';
import { FaultyCalls } from './faults/faulty-calls.ts';
import { FaultyCommitLog } from './faults/faulty-commit-log.ts';

/** One append that was stored. */
export interface AppliedAppend {
  readonly nodeId: string;
  readonly log: 'events' | 'states';
  readonly stream: StreamName;
  readonly sequence: number;
  readonly epoch: number;
  readonly body: Uint8Array;
}

export interface FaultyStoreOptions {
  /** The clock of the store, which no process freezes. */
  readonly clock: Clock;
}

/** Any store, with faults. It is the same as the one underneath until a verb of `of(nodeId)` is called. All nodes under test share one. */
export class FaultyStore implements Store {
  readonly name: string;
  /** Everything that was stored through it, in the order of the answers. */
  readonly history: AppliedAppend[] = [];
  readonly #inner: Store;
  readonly #clock: Clock;
  readonly #nodes = new Map<string, CommitFaults>();

  constructor(inner: Store, options: FaultyStoreOptions) {
    this.name = `faulty ${inner.name}`;
    this.#inner = inner;
    this.#clock = options.clock;
  }

  /** The faults of a node by its id. It need not exist yet. */
  of(nodeId: string): CommitFaults {
    let faults = this.#nodes.get(nodeId);
    if (faults === undefined) this.#nodes.set(nodeId, (faults = new CommitFaults()));
    return faults;
  }

  /** The highest sequence that was stored through it. */
  lastOf(log: 'events' | 'states'): number {
    return this.history.reduce((last, applied) => (applied.log === log ? Math.max(last, applied.sequence) : last), 0);
  }

  /** Ends every fault of every node. */
  healAll(): void {
    for (const faults of this.#nodes.values()) faults.heal();
  }

  async open(environment: StoreEnvironment): Promise<OpenStore> {
    const { nodeId } = environment;
    const faults = this.of(nodeId);
    const calls = new FaultyCalls(faults, this.#clock);
    await calls.reach();
    const inner = await this.#inner.open(environment);
    const logOf = (log: 'events' | 'states'): FaultyCommitLog =>
      new FaultyCommitLog(log, inner[log], faults, calls, (applied) => this.history.push({ ...applied, nodeId, log }));
    return {
      privateId: inner.privateId,
      durability: inner.durability,
      events: logOf('events'),
      states: logOf('states'),
      snapshots: faultySnapshots(inner.snapshots, calls),
      records: faultyRecords(inner.records, calls),
      shardsHeld: () => inner.shardsHeld(),
      close: () => inner.close(),
    };
  }
}

function faultySnapshots(inner: SnapshotStore, calls: FaultyCalls): SnapshotStore {
  return {
    bodyBytesMax: inner.bodyBytesMax,
    save: (stream, snapshot, kept) => calls.write(() => inner.save(stream, snapshot, kept)),
    load: async (stream, max) => {
      await calls.reach();
      return inner.load(stream, max);
    },
    forget: (stream) => calls.write(() => inner.forget(stream)),
  };
}

function faultyRecords(inner: KeptRecords, calls: FaultyCalls): KeptRecords {
  return {
    read: async (key) => {
      await calls.reach();
      return inner.read(key);
    },
    write: (key, value, expected) => calls.write(() => inner.write(key, value, expected)),
    forget: (key, upTo) => calls.write(() => inner.forget(key, upTo)),
    async *list(prefix) {
      await calls.reach();
      yield* inner.list(prefix);
    },
  };
}
