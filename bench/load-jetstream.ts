import { type CommitLog } from '@perkey/core';
import { openJetStream } from './append-jetstream.ts';
import { BareJetStream, barePush, orderedRead } from './support/bare-jetstream.ts';
import type { BenchOptions } from './support/bench.ts';
import { oneServer } from './support/jetstream-servers.ts';
import { percentile, round } from './support/numbers.ts';
import { say } from './support/say.ts';

interface Row {
  readonly records: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly ordered_p50_ms: number;
  /** p50_ms / ordered_p50_ms */
  readonly ratio: number;
  readonly bare_p50_ms: number;
  readonly bare_ratio: number;
}

export interface LoadJetStreamResult {
  readonly rows: readonly Row[];
  /** A snapshot is loaded, then a tail of so many records after it. */
  readonly with_snapshot: readonly { readonly tail: number; readonly p50_ms: number; readonly p99_ms: number }[];
  readonly other_records: number;
}

const body = Buffer.alloc(150, 1);
const natsStream = 'perkey_load_events';

/** Appends to many streams at once, each a chain of `count`; gives the last sequences. */
async function fill(log: CommitLog, keys: readonly string[], count: number): Promise<readonly number[]> {
  return Promise.all(
    keys.map(async (key) => {
      let head = 0;
      for (let i = 0; i < count; i += 1) {
        const outcome = await log.append({ stream: { type: 'Account', key }, shard: 0, expectedSequence: head, epoch: 1, body });
        if (outcome.kind !== 'appended') throw new Error(JSON.stringify(outcome));
        head = outcome.sequence;
      }
      return head;
    }),
  );
}

async function read(log: CommitLog, key: string, after: number): Promise<number> {
  let count = 0;
  for await (const { records } of log.read({ after, batchMax: 1_000, stream: { type: 'Account', key } })) count += records.length;
  return count;
}

type Timed = Record<string, Float64Array>;

/** The reads take turns, so that a slow moment of the machine meets all of them. */
async function timed(times: number, reads: Readonly<Record<string, () => Promise<unknown>>>): Promise<Timed> {
  const samples: Timed = Object.fromEntries(Object.keys(reads).map((name) => [name, new Float64Array(times)]));
  for (const run of Object.values(reads)) await run();
  for (let i = 0; i < times; i += 1) {
    for (const [name, run] of Object.entries(reads)) {
      const startedAt = performance.now();
      await run();
      (samples[name] as Float64Array)[i] = performance.now() - startedAt;
    }
  }
  for (const sorted of Object.values(samples)) sorted.sort();
  return samples;
}

const at = (samples: Timed, name: string, percent: number): number => round(percentile(samples[name] as Float64Array, percent), 3);

function expectCount(wanted: number, run: () => Promise<number>): () => Promise<void> {
  return async () => {
    const count = await run();
    if (count !== wanted) throw new Error(`${count} records instead of ${wanted}`);
  };
}

/**
 * What an activation reads from JetStream: a stream of 10, 1,000 and 10,000 records among others, beside one ordered read of the same messages
 * by the client library and one with nothing around it; and a snapshot with a tail.
 */
export async function loadJetStream(options: BenchOptions): Promise<LoadJetStreamResult> {
  await using servers = await oneServer();
  const store = await openJetStream(servers.urls, 1, 'load');
  await using bare = await BareJetStream.connect(servers.urls);
  const { events, snapshots } = store;
  const others = Array.from({ length: options.quick ? 100 : 1_000 }, (_, i) => `other-${i}`);
  const sizes = options.quick ? [10, 100] : [10, 1_000, 10_000];
  await Promise.all([...sizes.map((size) => fill(events, [`sized-${size}`], size)), fill(events, others, options.quick ? 10 : 50)]);
  const rows: Row[] = [];
  for (const size of sizes) {
    const key = `sized-${size}`;
    const subject = await subjectOf(bare, events, key);
    const samples = await timed(options.quick ? 10 : size > 1_000 ? 20 : 100, {
      product: expectCount(size, () => read(events, key, 0)),
      ordered: expectCount(size, () => orderedRead(bare, natsStream, subject, size)),
      bare: expectCount(size, () => barePush(bare, natsStream, subject, size)),
    });
    const [p50, ordered, push] = [at(samples, 'product', 50), at(samples, 'ordered', 50), at(samples, 'bare', 50)];
    rows.push({
      records: size,
      p50_ms: p50,
      p99_ms: at(samples, 'product', 99),
      ordered_p50_ms: ordered,
      ratio: round(p50 / ordered, 2),
      bare_p50_ms: push,
      bare_ratio: round(p50 / push, 2),
    });
    say(`  ${size} records: ${p50} ms, ordered ${ordered} ms, bare ${push} ms`);
  }
  const withSnapshot: { tail: number; p50_ms: number; p99_ms: number }[] = [];
  const size = sizes.at(-1) ?? 0;
  const key = `sized-${size}`;
  const sequences: number[] = [];
  for await (const { records } of events.read({ after: 0, batchMax: 1_000, stream: { type: 'Account', key } }))
    sequences.push(...records.map(({ sequence }) => sequence));
  for (const tail of [0, 1, 50, 100].filter((count) => count < size)) {
    const sequence = sequences.at(-1 - tail) ?? 0;
    await snapshots.forget({ type: 'Account', key });
    for (const covered of [sequences[0] ?? 0, sequence])
      await snapshots.save({ type: 'Account', key }, { sequence: covered, body: Buffer.alloc(2_000, 2) }, 2);
    const samples = await timed(options.quick ? 10 : 100, {
      product: expectCount(tail, async () => {
        const [snapshot] = await snapshots.load({ type: 'Account', key });
        return read(events, key, snapshot?.sequence ?? 0);
      }),
    });
    withSnapshot.push({ tail, p50_ms: at(samples, 'product', 50), p99_ms: at(samples, 'product', 99) });
    say(`  snapshot and ${tail} records: ${at(samples, 'product', 50)} ms`);
  }
  await store.close();
  if (!options.json) {
    console.table(rows);
    console.table(withSnapshot);
  }
  return { rows, with_snapshot: withSnapshot, other_records: others.length * (options.quick ? 10 : 50) };
}

/** The subject of a stream, as the server has it: that of its last record. */
async function subjectOf(bare: BareJetStream, log: CommitLog, key: string): Promise<string> {
  let last = 0;
  for await (const { records } of log.read({ after: 0, batchMax: 1_000, stream: { type: 'Account', key } }))
    last = records.at(-1)?.sequence ?? last;
  const { message } = (await bare.api(`STREAM.MSG.GET.${natsStream}`, { seq: last })) as { message?: { subject?: string } };
  return message?.subject ?? '';
}
