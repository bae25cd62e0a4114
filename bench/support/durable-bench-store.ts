import { memoryStore, type OpenStore, type Store } from '@perkey/core';
import { jetstream } from '@perkey/nats';
import { sqlite } from '@perkey/sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BareJetStream } from './bare-jetstream.ts';
import { BareSqlite } from './bare-sqlite.ts';
import { CommitLogLoad } from './commit-log-load.ts';
import type { BenchServers } from './jetstream-servers.ts';
import { LoadMeter, type LoadResult } from './load-meter.ts';

/** What the same machine stores where nothing but the store itself is at work: rates of `writers` that each have one append under way. */
export interface AppendFloor extends AsyncDisposable {
  run(writers: number, ms: number): Promise<LoadResult>;
  /** The same bytes where no expectation is compared, which makes it no append; where the store has such a thing. */
  unguarded?(writers: number, ms: number): Promise<LoadResult>;
}

/** A store for the node of a bench, which others may look into while that node has it open, and the floor of its appends. */
export class BenchStore implements Store, AsyncDisposable {
  readonly name: string;
  readonly title: string;
  readonly #store: Store;
  readonly #floor: (body: Uint8Array) => Promise<AppendFloor>;
  readonly #end: () => unknown;
  #open: OpenStore | undefined;

  constructor(title: string, store: Store, floor: (body: Uint8Array, log: OpenStore) => Promise<AppendFloor>, end: () => unknown) {
    this.title = title;
    this.name = store.name;
    this.#store = store;
    this.#floor = (body) => floor(body, this.opened);
    this.#end = end;
  }

  /** The same that the node uses. */
  get opened(): OpenStore {
    if (this.#open === undefined) throw new Error(`${this.title} is not open`);
    return this.#open;
  }

  async open(environment: Parameters<Store['open']>[0]): Promise<OpenStore> {
    return (this.#open = await this.#store.open(environment));
  }

  /** For records of these very bytes. */
  floor(body: Uint8Array): Promise<AppendFloor> {
    return this.#floor(body);
  }

  /** The body of the last record of the log of events. */
  async lastBody(): Promise<Uint8Array> {
    const { events } = this.opened;
    let last: Uint8Array | undefined;
    for await (const { records } of events.read({ after: Math.max(0, (await events.last()) - 1), batchMax: 1 }))
      last = records.at(-1)?.body ?? last;
    if (last === undefined) throw new Error(`${this.title} is empty`);
    return Uint8Array.from(last);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}

/** Its floor is its own log with bytes that exist already, and no actor: there is nothing below it. */
export async function inMemory(): Promise<BenchStore> {
  const floor = async (body: Uint8Array, { events }: OpenStore): Promise<AppendFloor> => {
    const load = new CommitLogLoad(events, 'floor', body);
    return { run: (writers, ms) => load.run(writers, ms), [Symbol.asyncDispose]: async () => {} };
  };
  return new BenchStore('memory', memoryStore(), floor, () => undefined);
}

/** A file in a folder of its own. Its floor are transactions of up to 100 inserts into a table of events that has each version of a stream once. */
export async function inSqlite(synchronous: 'full' | 'off'): Promise<BenchStore & { readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'perkey-bench-'));
  const path = join(folder, 'store.db');
  const floor = async (body: Uint8Array): Promise<AppendFloor> => {
    const bare = new BareSqlite(join(folder, 'bare.db'));
    const heads: number[] = [];
    const untimed = (rps: number): LoadResult => ({ rps: Math.round(rps), p50_ms: Number.NaN, p99_ms: Number.NaN });
    return {
      async run(writers, ms) {
        while (heads.length < writers) heads.push(0);
        const streams = Array.from({ length: writers }, (_, writer) => `account-${writer}`);
        return untimed(bare.append(Math.min(100, writers), streams, heads, body, ms));
      },
      unguarded: async (writers, ms) => untimed(bare.insert(Math.min(100, writers), body, ms)),
      [Symbol.asyncDispose]: async () => bare.close(),
    };
  };
  const store = new BenchStore(`SQLite, synchronous=${synchronous}`, sqlite({ path, synchronous }), floor, () =>
    rm(folder, { recursive: true, force: true }),
  );
  return Object.assign(store, { path });
}

/** Its floor are acknowledged publishes with the expected sequence, through one inbox. */
export async function inJetStream(start: () => Promise<BenchServers>): Promise<BenchStore & { readonly servers: BenchServers }> {
  const servers = await start();
  const { urls, replicas } = servers;
  const floor = async (body: Uint8Array): Promise<AppendFloor> => {
    const bare = await BareJetStream.connect(urls);
    // Names as long as those of the store, so that as many bytes cross.
    await bare.createStream('perkey_bench_floors', 'perkey.bench.floors.*.*', replicas);
    const heads: number[] = [];
    return {
      run(writers, ms) {
        while (heads.length < writers) heads.push(0);
        const subjects = Array.from({ length: writers }, (_, writer) => `perkey.bench.floors.account.${String(writer).padStart(43, 'x')}`);
        const meter = new LoadMeter(writers);
        return meter.measure(ms, () => bare.appendLoop(subjects, heads, body, meter));
      },
      [Symbol.asyncDispose]: () => bare[Symbol.asyncDispose](),
    };
  };
  const store = new BenchStore(servers.name, jetstream({ servers: urls, replicas }), floor, () => servers[Symbol.asyncDispose]());
  return Object.assign(store, { servers });
}
