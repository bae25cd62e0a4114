import { defineActor, memory, startNode } from '@perkey/core';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { serve } from './peer.ts';

/** The process whose heap `memory` looks at: a node with idle counters, and nothing else. */
const [passivateAfterMs = '0', actorsMax = '0'] = process.argv.slice(2);
const Counter = defineActor('counter', {
  increment: { input: z.object({ amount: z.number().int().default(1) }), output: z.object({ value: z.number() }) },
});
const counter = Counter.host({
  state: () => ({ value: 0 }),
  passivateAfterMs: Number(passivateAfterMs),
  increment(ctx, { amount }) {
    ctx.state.value += amount;
    return { value: ctx.state.value };
  },
});
const node = await startNode({
  cluster: 'bench',
  transport: memory(),
  actors: [counter],
  actorsResidentMax: Number(actorsMax),
});
const atOnce = 1_000;

const resident = (): number => node.inspect(0)?.actors.resident ?? Number.NaN;

async function heapBytes(): Promise<number> {
  for (let i = 0; i < 4; i += 1) {
    globalThis.gc?.();
    await delay(20);
  }
  return process.memoryUsage().heapUsed;
}

async function fill(count: number): Promise<number> {
  for (let from = 0; from < count; from += atOnce) {
    const keys = Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => `counter-${from + i}`);
    await Promise.all(keys.map((key) => node.actor(Counter, key).increment({ amount: 1 })));
  }
  return resident();
}

async function untilEmpty(): Promise<number> {
  const startedAt = performance.now();
  while (resident() > 0) await delay(50);
  return performance.now() - startedAt;
}

serve({ fill, untilEmpty, heapBytes, rss: () => process.memoryUsage().rss }, () => node.stop());
