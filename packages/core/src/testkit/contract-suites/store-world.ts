import assert from 'node:assert/strict';
import { systemClock } from '../../base/clock.ts';
import { shardOf } from '../../base/hash.ts';
import { silentLogger } from '../../base/log.ts';
import { noMetrics } from '../../base/metrics.ts';
import { systemRandom } from '../../base/random.ts';
import type { AppendOutcome, CommitLog, LogBatch, LogFilter, LogRead, LogRecord, StreamName } from '../../contract/commit-log.ts';
import type { OpenStore, Store, StoreEnvironment } from '../../contract/store.ts';
import { needed } from './suite.ts';

export interface StoreSubject {
  /** Over fresh data; it is opened, closed and opened again. */
  readonly store: Store;
  readonly cluster: string;
  /** The same data for another node at the same time, for stores that nodes share; it may be the same object. */
  readonly another?: Store | undefined;
  /** Idempotent. All that the cases opened is closed before. */
  close(): Promise<void>;
}

/** What a store is opened with in tests: real time, real chance, no log, no metrics. */
export function storeEnvironment(given: Partial<StoreEnvironment> = {}): StoreEnvironment {
  return {
    cluster: 'test',
    nodeId: 'n1',
    shards: 256,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    metrics: noMetrics,
    connectTimeoutMs: 10_000,
    ...given,
  };
}

/** A subject with its open handles, as a case sees it. */
export class StoreWorld {
  readonly store: OpenStore;
  readonly #subject: StoreSubject;
  readonly #opened: OpenStore[];

  private constructor(subject: StoreSubject, store: OpenStore) {
    this.#subject = subject;
    this.store = store;
    this.#opened = [store];
  }

  static async open(subject: StoreSubject): Promise<StoreWorld> {
    return new StoreWorld(subject, await subject.store.open(storeEnvironment({ cluster: subject.cluster })));
  }

  get hasAnother(): boolean {
    return this.#subject.another !== undefined;
  }

  /** The same data as another node has it. */
  another(): Promise<OpenStore> {
    return this.#open(needed(this.#subject.another, 'store for another node'), 'n2');
  }

  /** Closes everything, then opens the store again. */
  async reopen(): Promise<OpenStore> {
    await this.close();
    return this.#open(this.#subject.store, 'n1');
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((store) => store.close()));
  }

  async #open(store: Store, nodeId: string): Promise<OpenStore> {
    const opened = await store.open(storeEnvironment({ cluster: this.#subject.cluster, nodeId }));
    this.#opened.push(opened);
    return opened;
  }
}

export const stream = (key: string, type: string = 'Account'): StreamName => ({ type, key });

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (record: LogRecord | undefined): string | undefined =>
  record === undefined ? undefined : new TextDecoder().decode(record.body);

/** Bytes of every value. */
export function pattern(length: number): Uint8Array {
  const made = new Uint8Array(length);
  for (let i = 0; i < length; i += 1) made[i] = (i * 7 + (i >> 8)) & 0xff;
  return made;
}

export interface AppendExtras {
  readonly epoch?: number;
}

/** Bodies of odd length take the other way, where the log has one. */
export function append(
  log: CommitLog,
  name: StreamName,
  expectedSequence: number,
  body: string | Uint8Array,
  { epoch = 1 }: AppendExtras = {},
): Promise<AppendOutcome> {
  const written = typeof body === 'string' ? bytes(body) : body;
  const whole = { stream: name, shard: shardOf(name.key, 64), expectedSequence, epoch, body: written };
  if (log.send === undefined || written.length % 2 === 0) return log.append(whole);
  return new Promise((resolve) => log.send?.(whole, { onOutcome: resolve }));
}

/** Appends where success is certain; gives the sequence. */
export async function appended(
  log: CommitLog,
  name: StreamName,
  expected: number,
  body: string | Uint8Array,
  extras: AppendExtras = {},
): Promise<number> {
  const outcome = await append(log, name, expected, body, extras);
  assert.ok(outcome.kind === 'appended', `an append to ${name.type}/${name.key.slice(0, 40)} after ${expected} was ${shown(outcome)}`);
  return outcome.sequence;
}

function shown(outcome: AppendOutcome): string {
  return JSON.stringify(outcome);
}

/** Appends the bodies one after the other; gives the sequence of the last. */
export async function appendAll(log: CommitLog, name: StreamName, bodies: readonly string[], from: number = 0): Promise<number> {
  let sequence = from;
  for (const body of bodies) sequence = await appended(log, name, sequence, body);
  return sequence;
}

export const numbered = (prefix: string, count: number): readonly string[] => Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`);

export interface ReadExtras extends LogFilter, Pick<LogRead, 'many' | 'reached'> {
  readonly after?: number;
  readonly batchMax?: number;
}

/** Everything that the log holds now; checks what every read has to keep. */
export async function readAll(log: CommitLog, { after = 0, batchMax = 100, ...filter }: ReadExtras = {}): Promise<readonly LogRecord[]> {
  const check = new ReadCheck(after, batchMax);
  for await (const batch of log.read({ after, batchMax, ...filter })) check.take(batch);
  return check.records;
}

export const texts = (records: readonly LogRecord[]): readonly string[] => records.map((record) => text(record) ?? '');

/** Collects batches, and checks that sequences and `through` rise, that batches are not too large, and that an empty one says something. */
export class ReadCheck {
  readonly records: LogRecord[] = [];
  live = false;
  through: number;
  readonly #batchMax: number;

  constructor(after: number, batchMax: number) {
    this.through = after;
    this.#batchMax = batchMax;
  }

  take(batch: LogBatch): void {
    const { records, through, live } = batch;
    assert.ok(records.length <= this.#batchMax, `a batch of ${records.length} records, ${this.#batchMax} were allowed`);
    assert.ok(records.length > 0 || through > this.through || live !== this.live, 'an empty batch said nothing new');
    for (const record of records) {
      assert.ok(record.sequence > this.through, `sequence ${record.sequence} was given after ${this.through}`);
      this.through = record.sequence;
      this.records.push(record);
    }
    assert.ok(through >= this.through, `through ${through} lies before ${this.through}`);
    this.through = through;
    this.live = live;
  }
}
