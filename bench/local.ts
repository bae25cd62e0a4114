import { type ActorDefinition, defineActor, memory, type Node, startNode } from '@perkey/core';
import { bareTurnsPerSecond } from './support/bare-host.ts';
import type { BenchOptions } from './support/bench.ts';
import { Counter, counter } from './support/counter.ts';
import type { LoadResult } from './support/load-meter.ts';
import { median } from './support/numbers.ts';
import { ProductLoad } from './support/product-load.ts';
import { say } from './support/say.ts';

interface Row {
  readonly name: string;
  /** Requests or turns. */
  readonly per_second: number;
  readonly p50_ms: number | null;
}

export interface LocalResult {
  readonly rows: readonly Row[];
}

const rounds = 3;

/** A method without schema: what is left is the mailbox, and the turn. */
const Ticker = defineActor('ticker', { tick: {} });

const ticker = Ticker.host({
  state: () => ({ ticks: 0 }),
  tick(ctx) {
    ctx.state.ticks += 1;
  },
});

async function turnsRow(
  name: string,
  definition: ActorDefinition,
  call: { readonly method: string; readonly input: unknown },
  count: number,
): Promise<Row> {
  await bareTurnsPerSecond(definition, call, count);
  const rates: number[] = [];
  for (let round = 0; round < rounds; round += 1) rates.push(await bareTurnsPerSecond(definition, call, count));
  const row = { name, per_second: Math.round(median(rates)), p50_ms: null };
  say(`  ${row.name}: ${row.per_second}/s`);
  return row;
}

async function requestRow(node: Node, inflight: number, ms: number): Promise<Row> {
  const load = new ProductLoad(node);
  const results: LoadResult[] = [];
  for (let round = 0; round < rounds; round += 1) results.push(await load.run(inflight, ms));
  const row = {
    name: `requests, ${inflight} at a time`,
    per_second: Math.round(median(results.map(({ rps }) => rps))),
    p50_ms: median(results.map(({ p50_ms }) => p50_ms)),
  };
  say(`  ${row.name}: ${row.per_second}/s`);
  return row;
}

/**
 * Requests to an actor on the caller's own node, with nothing on a wire: a zod-checked input, a promise for each request, a synchronous
 * handler, metrics on. Beside it the turns of the actors alone, for requests that exist already and answers that go nowhere.
 */
export async function local(options: BenchOptions): Promise<LocalResult> {
  const ms = options.quick ? 150 : 2_000;
  await using node = await startNode({ cluster: 'bench', nodeId: 'node-0', transport: memory(), actors: [counter] });
  await node.actor(Counter, 'first').increment();
  await new ProductLoad(node).run(64, ms);
  const rows: Row[] = [];
  for (const inflight of [1, 64, 256]) rows.push(await requestRow(node, inflight, ms));
  const turns = options.quick ? 200_000 : 3_000_000;
  rows.push(await turnsRow('turns alone', ticker, { method: 'tick', input: undefined }, turns));
  rows.push(await turnsRow('turns alone, input checked by zod', counter, { method: 'increment', input: { amount: 1 } }, turns));
  if (!options.json) console.table(rows);
  return { rows };
}
