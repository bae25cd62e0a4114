import { PerkeyError } from '../../base/errors.ts';
import type { AppendOutcome, CommitLog, LogAppend, LogBatch, LogRead } from '../../contract/commit-log.ts';
import type { OpenStore, SnapshotStore, Store, StoreEnvironment } from '../../contract/store.ts';

/**
 * What becomes of one append. `full`, `unavailable`: refused. `lost`: never stored, nobody says so. `ack_lost`: stored, nobody says so.
 * `late`: nobody says anything, and it is sent to the store when the test releases it. `conflict`: stored, but answered as a conflict.
 * `slow`: stored at once and answered when the test releases it. `stuck`: neither until then.
 */
export type AppendFault = 'full' | 'unavailable' | 'lost' | 'ack_lost' | 'late' | 'conflict' | 'slow' | 'stuck';

export type LogName = 'events' | 'states';

/** A store whose answers a test decides. What it does not decide goes its usual way. */
export class FaultyStore implements Store {
  readonly name: string;
  readonly #inner: Store;
  readonly #held: (() => void)[] = [];
  /** Asked for each append. */
  onAppend: (append: LogAppend, log: LogName) => AppendFault | undefined = () => undefined;
  /** Reads of logs and snapshots reject. */
  readsFail = false;
  /** Saving a snapshot rejects. */
  savesFail = false;
  /** Called before each read of a log and of snapshots; a promise holds it back. */
  onRead: (what: LogName | 'snapshots') => Promise<void> | undefined = () => undefined;
  readonly appends: LogAppend[] = [];

  constructor(inner: Store) {
    this.#inner = inner;
    this.name = inner.name;
  }

  async open(environment: StoreEnvironment): Promise<OpenStore> {
    const inner = await this.#inner.open(environment);
    return {
      privateId: inner.privateId,
      durability: inner.durability,
      events: new FaultyLog(this, inner.events, 'events'),
      states: new FaultyLog(this, inner.states, 'states'),
      snapshots: this.#snapshots(inner.snapshots),
      records: inner.records,
      shardsHeld: () => inner.shardsHeld(),
      close: () => inner.close(),
    };
  }

  /** The next appends have these faults, one each. */
  failNext(...faults: readonly AppendFault[]): void {
    const left = [...faults];
    this.onAppend = () => left.shift();
  }

  hold(action: () => void): void {
    this.#held.push(action);
  }

  /** Lets go of what is held back, in order. */
  release(): void {
    for (const action of this.#held.splice(0)) action();
  }

  #snapshots(inner: SnapshotStore): SnapshotStore {
    return {
      bodyBytesMax: inner.bodyBytesMax,
      save: (stream, snapshot, kept) => (this.savesFail ? Promise.reject(gone()) : inner.save(stream, snapshot, kept)),
      load: async (stream) => {
        await this.onRead('snapshots');
        if (this.readsFail) throw gone();
        return inner.load(stream);
      },
      forget: (stream) => inner.forget(stream),
    };
  }
}

function gone(): PerkeyError {
  return new PerkeyError('store.unavailable', 'a test made the store unavailable');
}

class FaultyLog implements CommitLog {
  readonly #faulty: FaultyStore;
  readonly #inner: CommitLog;
  readonly #name: LogName;

  constructor(faulty: FaultyStore, inner: CommitLog, name: LogName) {
    this.#faulty = faulty;
    this.#inner = inner;
    this.#name = name;
  }

  get bodyBytesMax(): number {
    return this.#inner.bodyBytesMax;
  }

  append(append: LogAppend): Promise<AppendOutcome> {
    this.#faulty.appends.push(append);
    const fault = this.#faulty.onAppend(append, this.#name);
    const unknown: AppendOutcome = { kind: 'unknown', text: `a test decided: ${fault ?? ''}` };
    switch (fault) {
      case undefined:
        return this.#inner.append(append);
      case 'full':
      case 'unavailable':
        return Promise.resolve({ kind: 'refused', reason: fault, text: 'as a test decided' });
      case 'lost':
        return Promise.resolve(unknown);
      case 'ack_lost':
        return this.#inner.append(append).then(() => unknown);
      case 'late':
        this.#faulty.hold(() => void this.#inner.append(append));
        return Promise.resolve(unknown);
      case 'conflict':
        return this.#inner.append(append).then(() => ({ kind: 'conflict' }));
      case 'slow': {
        const answer = this.#inner.append(append);
        return new Promise((resolve) => this.#faulty.hold(() => void answer.then(resolve)));
      }
      case 'stuck':
        return new Promise((resolve) => this.#faulty.hold(() => void this.#inner.append(append).then(resolve)));
    }
  }

  async *read(read: LogRead): AsyncGenerator<LogBatch, void, undefined> {
    await this.#faulty.onRead(this.#name);
    if (this.#faulty.readsFail) throw gone();
    yield* this.#inner.read(read);
  }

  last(): Promise<number> {
    return this.#inner.last();
  }

  trim(...args: Parameters<CommitLog['trim']>): Promise<void> {
    return this.#inner.trim(...args);
  }
}
