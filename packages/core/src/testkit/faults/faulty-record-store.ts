import type { Clock, Timer } from '../../base/clock.ts';
import { PerkeyError } from '../../base/errors.ts';
import type { RecordListener, RecordStore, StoredRecord, Watch, WriteOutcome } from '../../contract/record-store.ts';
import type { LinkEnvironment } from '../../contract/transport.ts';
import type { CallbackGuard } from '../../memory/guarded-callback.ts';
import type { Gate } from './gate.ts';
import type { RecordHistory, StoreName } from './record-history.ts';
import type { StoreFaults } from './store-faults.ts';

/** What a store needs of the connection that it is reached by. */
export interface StoreConnection {
  readonly up: boolean;
  readonly in: Gate;
  readonly out: Gate;
  /** Calls that wait for their answers: each rejects its own. */
  readonly unanswered: Set<() => void>;
  store(name: StoreName): RecordStore;
  listener(name: StoreName, listener: RecordListener): RecordListener;
}

export interface FaultyStoreParts {
  readonly name: StoreName;
  readonly nodeId: string;
  readonly environment: LinkEnvironment;
  readonly clock: Clock;
  readonly history: RecordHistory;
  readonly storeTimeoutMs: number;
  readonly faults: StoreFaults;
  readonly guard: CallbackGuard;
  readonly connection: () => StoreConnection | undefined;
}

interface Watched {
  readonly listener: RecordListener;
  isStopped: boolean;
  inner: Watch | undefined;
}

function stop(watched: Watched): void {
  watched.isStopped = true;
  watched.inner?.stop();
}

function unavailable(message: string): PerkeyError {
  return new PerkeyError('store.unavailable', message);
}

export class FaultyRecordStore implements RecordStore {
  readonly #parts: FaultyStoreParts;
  readonly #watches = new Set<Watched>();

  constructor(parts: FaultyStoreParts) {
    this.#parts = parts;
  }

  read(key: string): Promise<StoredRecord | undefined> {
    return this.#call(async (store) => {
      const { faults, history, environment, name } = this.#parts;
      const fresh = await store.read(key);
      return faults.staleLength === undefined ? fresh : history.asOf(faults.staleLength, environment.cluster, name, key);
    });
  }

  write(key: string, value: string, expectedRevision: number): Promise<WriteOutcome> {
    return this.#call(async (store) => {
      const fault = this.#parts.faults.takeWriteFault();
      if (fault === 'refused') return { applied: false };
      if (fault === 'unavailable') throw unavailable('the store was told to be unavailable for this write');
      const outcome = await store.write(key, value, expectedRevision);
      if (outcome.applied) this.#remember(key, value, outcome.revision);
      if (fault === 'applied-unavailable') throw unavailable('the store was told to lose the answer to this write');
      return fault === 'applied-refused' ? { applied: false } : outcome;
    });
  }

  forget(key: string, upToRevision: number): Promise<void> {
    return this.#call(async (store) => {
      await store.forget(key, upToRevision);
      if ((await store.read(key)) === undefined) this.#remember(key, undefined, upToRevision);
    });
  }

  async watch(listener: RecordListener): Promise<Watch> {
    const { guard } = this.#parts;
    const guarded: RecordListener = {
      onRecord: (record) => guard.call('onRecord', () => listener.onRecord(record)),
      onSynced: () => guard.call('onSynced', () => listener.onSynced()),
    };
    const watched: Watched = { listener: guarded, isStopped: false, inner: undefined };
    const connection = this.#parts.connection();
    try {
      await this.#call((store) => this.#start(watched, store, connection));
    } catch (error) {
      stop(watched);
      throw error;
    }
    this.#watches.add(watched);
    return {
      stop: () => {
        this.#watches.delete(watched);
        stop(watched);
      },
    };
  }

  /** A lost connection was made anew: all watches start again on it. */
  async rewatch(connection: StoreConnection): Promise<void> {
    const store = connection.store(this.#parts.name);
    for (const watched of this.#watches) await this.#start(watched, store, connection);
  }

  async #start(watched: Watched, store: RecordStore, connection: StoreConnection | undefined): Promise<void> {
    if (connection === undefined) throw unavailable('the connection is down');
    const passed = connection.listener(this.#parts.name, {
      onRecord: (record) => {
        if (!watched.isStopped) watched.listener.onRecord(record);
      },
      onSynced: () => {
        if (!watched.isStopped) watched.listener.onSynced();
      },
    });
    watched.inner = await store.watch(passed);
    if (watched.isStopped) watched.inner.stop();
  }

  #remember(key: string, value: string | undefined, revision: number): void {
    const { history, environment, name, nodeId, clock } = this.#parts;
    history.add({ cluster: environment.cluster, store: name, by: nodeId, key, value, revision, atMs: clock.now() });
  }

  #call<T>(effect: (store: RecordStore) => Promise<T>): Promise<T> {
    const { environment, faults, storeTimeoutMs, name } = this.#parts;
    const connection = this.#parts.connection();
    if (connection?.up !== true) return Promise.reject(unavailable('the connection is down'));
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const lost = (): void => end(() => reject(unavailable('the connection was lost before the answer came')));
      const end = (settle: () => void): void => {
        if (!connection.unanswered.delete(lost)) return;
        timer?.cancel();
        settle();
      };
      const timeOut = (): void => end(() => reject(unavailable(`the store did not answer within ${storeTimeoutMs} ms`)));
      const mayTakeLong = (): void => {
        if (connection.unanswered.has(lost)) timer ??= environment.clock.setTimer(storeTimeoutMs, timeOut);
      };
      const answer = (settle: () => void): void => {
        if (!connection.in.pass(() => end(settle))) mayTakeLong();
      };
      const run = (): void => {
        const done = faults.isUnavailable
          ? Promise.reject(unavailable('the store was told to be unavailable'))
          : faults.slowMs === 0
            ? effect(connection.store(name))
            : this.#slowly(() => effect(connection.store(name)));
        done.then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error)),
        );
      };
      connection.unanswered.add(lost);
      if (!connection.out.pass(run) || faults.slowMs > 0) mayTakeLong();
    });
  }

  async #slowly<T>(run: () => Promise<T>): Promise<T> {
    const { faults, clock } = this.#parts;
    const halfMs = faults.slowMs / 2;
    const wait = (): Promise<void> => new Promise((resolve) => clock.setTimer(halfMs, resolve));
    await wait();
    try {
      return await run();
    } finally {
      await wait();
    }
  }
}
