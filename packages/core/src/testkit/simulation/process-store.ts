import type { Clock } from '../../base/clock.ts';
import type { CommitLog } from '../../contract/commit-log.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import type { KeptRecords, OpenStore, SnapshotStore, Store, StoreEnvironment } from '../../contract/store.ts';

export interface ProcessStoreParts {
  /** With the faults of the process that opens it. */
  readonly inner: Store;
  /** The clock of the store, which no process freezes. */
  readonly clock: Clock;
  /** The clock of the process. */
  readonly process: VirtualClock;
  /** What an answer takes on its way, in ms, drawn for each. */
  readonly latencyMs: () => number;
}

/**
 * The store as one process sees it. What the process asked for takes its effect whatever becomes of the process; an answer runs on the clock of the
 * process: later, when it stands still, and never, when it is dead.
 */
export class ProcessStore implements Store {
  readonly name: string = 'simulated';
  readonly #parts: ProcessStoreParts;

  constructor(parts: ProcessStoreParts) {
    this.#parts = parts;
  }

  async open(environment: StoreEnvironment): Promise<OpenStore> {
    const { inner, clock, process } = this.#parts;
    const answers = new Answers(this.#parts, process);
    const open = await answers.of(inner.open({ ...environment, clock: answeringSoon(clock) }));
    const { privateId, durability } = open;
    return {
      ...{ privateId, durability },
      events: logOf(open.events, answers),
      states: logOf(open.states, answers),
      snapshots: snapshotsOf(open.snapshots, answers),
      records: recordsOf(open.records, answers),
      shardsHeld: () => answers.of(open.shardsHeld()),
      close: () => answers.of(open.close()),
    };
  }
}

/** A store in memory answers a turn of the event loop later; here in the same one, since its answers take their own time on their way. */
function answeringSoon(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.wall(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, run),
    defer: (run) => queueMicrotask(run),
  };
}

class Answers {
  readonly #parts: ProcessStoreParts;
  readonly #process: VirtualClock;

  constructor(parts: ProcessStoreParts, process: VirtualClock) {
    this.#parts = parts;
    this.#process = process;
  }

  of<T>(asked: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      asked.then(
        (answer) => this.#tell(() => resolve(answer)),
        (error: unknown) => this.#tell(() => reject(error)),
      );
    });
  }

  async *each<T>(asked: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    const iterator = asked[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.of(iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }

  #tell(run: () => void): void {
    const { clock, latencyMs } = this.#parts;
    clock.setTimer(latencyMs(), () => {
      if (this.#process.running) run();
      else this.#process.defer(run);
    });
  }
}

function logOf(inner: CommitLog, answers: Answers): CommitLog {
  return {
    bodyBytesMax: inner.bodyBytesMax,
    append: (append) => answers.of(inner.append(append)),
    read: (read) => answers.each(inner.read(read)),
    last: () => answers.of(inner.last()),
    barrier: () => answers.of(inner.barrier()),
    trim: (stream, before) => answers.of(inner.trim(stream, before)),
  };
}

function snapshotsOf(inner: SnapshotStore, answers: Answers): SnapshotStore {
  return {
    bodyBytesMax: inner.bodyBytesMax,
    save: (stream, snapshot, kept) => answers.of(inner.save(stream, snapshot, kept)),
    load: (stream, max) => answers.of(inner.load(stream, max)),
    forget: (stream) => answers.of(inner.forget(stream)),
  };
}

function recordsOf(inner: KeptRecords, answers: Answers): KeptRecords {
  return {
    read: (key) => answers.of(inner.read(key)),
    write: (key, value, expected) => answers.of(inner.write(key, value, expected)),
    forget: (key, upTo) => answers.of(inner.forget(key, upTo)),
    list: (prefix) => answers.each(inner.list(prefix)),
  };
}
