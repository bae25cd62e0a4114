import { openJetStream } from './append-jetstream.ts';
import { BareJetStream, barePush, orderedRead } from './support/bare-jetstream.ts';
import type { BenchOptions } from './support/bench.ts';
import { oneServer } from './support/jetstream-servers.ts';
import { median, round } from './support/numbers.ts';
import { say } from './support/say.ts';

export interface ReplayJetStreamResult {
  readonly records: number;
  readonly records_per_s: number;
  readonly ordered_per_s: number;
  /** records_per_s / ordered_per_s */
  readonly ratio: number;
  readonly bare_per_s: number;
  readonly bare_ratio: number;
}

const natsStream = 'perkey_replay_events';
const rounds = 2;

/** Publishes without acknowledgement but for the last of each thousand, so that the server keeps up. */
async function fill(bare: BareJetStream, count: number): Promise<void> {
  const body = Buffer.alloc(150, 1);
  const { connection } = bare;
  for (let i = 1; i <= count; i += 1) {
    const subject = `perkey.replay.events.Account.${String(i % 10_000).padStart(43, 'x')}`;
    if (i % 1_000 === 0 || i === count) await connection.request(subject, body, { timeout: 10_000 });
    else connection.publish(subject, body);
  }
}

/** A read of the whole log in JetStream, beside the client library's ordered consumer and a consumer with nothing around it. */
export async function replayJetStream(options: BenchOptions): Promise<ReplayJetStreamResult> {
  const count = options.quick ? 10_000 : 1_000_000;
  await using servers = await oneServer();
  const store = await openJetStream(servers.urls, 1, 'replay');
  await using bare = await BareJetStream.connect(servers.urls);
  await fill(bare, count);
  const product = async (): Promise<number> => {
    let seen = 0;
    for await (const { records } of store.events.read({ after: 0, batchMax: 1_000 })) {
      for (const { body } of records) seen += body.length > 0 ? 1 : 0;
    }
    return seen;
  };
  const runs = {
    product,
    ordered: (): Promise<number> => orderedRead(bare, natsStream, undefined, count),
    bare: (): Promise<number> => barePush(bare, natsStream, undefined, count),
  };
  const names = ['product', 'ordered', 'bare'] as const;
  const rates: Record<(typeof names)[number], number[]> = { product: [], ordered: [], bare: [] };
  for (let turn = 0; turn < (options.quick ? 1 : rounds); turn += 1) {
    for (let i = 0; i < names.length; i += 1) {
      const name = names[(turn + i) % names.length] as (typeof names)[number];
      const startedAt = performance.now();
      const seen = await runs[name]();
      if (seen !== count) throw new Error(`${name} saw ${seen} records instead of ${count}`);
      rates[name].push((count * 1_000) / (performance.now() - startedAt));
      say(`  ${name}: ${Math.round(rates[name].at(-1) ?? 0)}/s`);
    }
  }
  await store.close();
  const [rate, ordered, push] = names.map((name) => Math.round(median(rates[name]))) as [number, number, number];
  const result = {
    records: count,
    records_per_s: rate,
    ordered_per_s: ordered,
    ratio: round(rate / ordered, 2),
    bare_per_s: push,
    bare_ratio: round(rate / push, 2),
  };
  if (!options.json) console.table([result]);
  return result;
}
