import type { InboundRequest, ReplyPort } from '../contract/calls.ts';
import type { AppendOutcome, CommitLog, LogAppend, LogBatch, LogRead } from '../contract/commit-log.ts';
import type { KeptRecords, OpenStore, SnapshotStore } from '../contract/store.ts';
import type { Publish } from '../contract/transport.ts';

/**
 * A process that is killed at the n-th point at which anything outside it could notice: before an effect on its store or on a caller, or between
 * an effect and its answer. From there on it has no effect and hears nothing.
 */
export class CrashPoints {
  readonly #killAt: number;
  /** The points that were passed, in order. */
  readonly passed: string[] = [];
  #late: (() => void)[] = [];

  /** `killAt`: from 0; `Infinity` never kills. */
  constructor(killAt: number) {
    this.#killAt = killAt;
  }

  get isDead(): boolean {
    return this.passed.length > this.#killAt;
  }

  /** False: the process is dead here. */
  pass(point: string): boolean {
    if (this.isDead) return false;
    this.passed.push(point);
    return !this.isDead;
  }

  /** What the dead process had handed to the network comes to the store now. */
  releaseLate(): void {
    for (const run of this.#late.splice(0)) run();
  }

  /** Effects through it are those of the process. An append at which it is killed is on its way, and comes with `releaseLate`. */
  store(inner: OpenStore): OpenStore {
    return {
      ...inner,
      events: this.#log(inner.events, 'events'),
      states: this.#log(inner.states, 'states'),
      snapshots: this.#snapshots(inner.snapshots),
      records: this.#records(inner.records),
    };
  }

  /** Publishing is one of its effects. */
  publish(inner: Publish): Publish {
    return (publication) =>
      this.#around(
        'publish',
        () => inner(publication),
        () => void inner(publication),
      );
  }

  /** A request whose reply is one of its effects. */
  request(reply: ReplyPort): Pick<InboundRequest, 'reply'> {
    return {
      reply: {
        ok: (id, value, now) => {
          if (this.pass('reply')) reply.ok(id, value, now);
        },
        error: (id, error) => {
          if (this.pass('reply')) reply.error(id, error);
        },
      },
    };
  }

  #around<T>(name: string, effect: () => Promise<T>, late?: () => void): Promise<T> {
    if (!this.pass(`before ${name}`)) {
      if (late !== undefined && this.passed.length - 1 === this.#killAt) this.#late.push(late);
      return never();
    }
    return effect().then((value) => (this.pass(`after ${name}`) ? value : never<T>()));
  }

  #log(inner: CommitLog, name: string): CommitLog {
    const read = async function* (this: CrashPoints, what: LogRead): AsyncGenerator<LogBatch, void, undefined> {
      await this.#around(`read ${name}`, () => Promise.resolve());
      yield* inner.read(what);
      await this.#around(`end of read ${name}`, () => Promise.resolve());
    };
    return {
      bodyBytesMax: inner.bodyBytesMax,
      append: (append: LogAppend): Promise<AppendOutcome> =>
        this.#around(
          `append ${name}`,
          () => inner.append(append),
          () => void inner.append(append),
        ),
      read: (what) => read.call(this, what),
      last: () => inner.last(),
      barrier: () => this.#around(`barrier ${name}`, () => inner.barrier()),
      trim: (stream, before) => inner.trim(stream, before),
    };
  }

  /** Looking through them has no effect. */
  #records(inner: KeptRecords): KeptRecords {
    return {
      read: (key) => inner.read(key),
      write: (...args) =>
        this.#around(
          'record write',
          () => inner.write(...args),
          () => void inner.write(...args),
        ),
      forget: (...args) =>
        this.#around(
          'record removal',
          () => inner.forget(...args),
          () => void inner.forget(...args),
        ),
      list: (prefix) => inner.list(prefix),
    };
  }

  #snapshots(inner: SnapshotStore): SnapshotStore {
    return {
      bodyBytesMax: inner.bodyBytesMax,
      save: (...args) => this.#around('snapshot save', () => inner.save(...args)),
      load: (...args) => this.#around('snapshot load', () => inner.load(...args)),
      forget: (stream) => inner.forget(stream),
    };
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => {});
}
