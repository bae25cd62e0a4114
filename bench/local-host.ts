import { z } from 'zod';
import { systemClock } from '../packages/core/src/base/clock.ts';
import { silentLogger } from '../packages/core/src/base/log.ts';
import { MetricsRegistry } from '../packages/core/src/base/metrics-registry.ts';
import { resolveOptions } from '../packages/core/src/base/options.ts';
import { systemRandom } from '../packages/core/src/base/random.ts';
import { ActorHost } from '../packages/core/src/actor/actor-host.ts';
import { defineActor } from '../packages/core/src/actor/definition.ts';
import { actorOptions } from '../packages/core/src/actor/settings.ts';
import { noChain, noHeaders } from '../packages/core/src/contract/calls.ts';
import type { Caller, InboundRequest, ReplyPort } from '../packages/core/src/contract/calls.ts';

/* The actor host by itself: no shards to find, no envelopes, no client. */

const Counter = defineActor('counter', {
  add: { input: z.object({ amount: z.number().int().default(1) }), output: z.object({ value: z.number() }) },
  bump: { output: z.object({ value: z.number() }) },
  later: { output: z.object({ value: z.number() }) },
  via: {},
});

const counter = Counter.host({
  state: () => ({ value: 0 }),
  add(ctx, { amount }) {
    ctx.state.value += amount;
    return { value: ctx.state.value };
  },
  bump(ctx) {
    ctx.state.value += 1;
    return { value: ctx.state.value };
  },
  async later(ctx) {
    ctx.state.value += 1;
    return { value: ctx.state.value };
  },
  async via(ctx) {
    await ctx.actor(Counter, `${ctx.key}-other`).bump();
  },
});

const input = { amount: 1 };

class Promising implements Caller {
  #nextId = 0;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #reply: ReplyPort = {
    ok: (id, value) => this.#take(id)?.resolve(value),
    error: (id, error) => this.#take(id)?.reject(error),
  };
  readonly #host: () => ActorHost;

  constructor(host: () => ActorHost) {
    this.#host = host;
  }

  #take(id: number): { resolve: (value: unknown) => void; reject: (error: Error) => void } | undefined {
    const entry = this.#waiting.get(id);
    this.#waiting.delete(id);
    return entry;
  }

  request(type: string, method: string, key: string, value: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = (this.#nextId += 1);
      this.#waiting.set(id, { resolve, reject });
      this.#host().admit(0, request(id, type, method, key, value, this.#reply));
    });
  }

  notify(): void {}
}

function request(id: number, type: string, method: string, key: string, value: unknown, reply: ReplyPort): InboundRequest {
  const deadline = systemClock.now() + 5_000;
  return {
    id,
    type,
    method,
    key,
    input: value,
    headers: noHeaders,
    chain: noChain,
    idempotencyKey: undefined,
    caller: '',
    deadline,
    reply,
  };
}

function makeHost(caller: () => Caller): ActorHost {
  const host = new ActorHost({
    nodeId: 'node-0',
    definitions: [counter],
    settings: resolveOptions(actorOptions, { mailboxMax: 1_000_000, nodeQueueMax: 10_000_000, actorsResidentMax: 10_000_000 }),
    guard: { mayAct: (now) => now < 1e15 },
    caller,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    metrics: new MetricsRegistry(),
  });
  host.openShard(0, 1, []);
  return host;
}

const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`);

/** Turns alone: the requests exist already, their replies go nowhere. */
async function turns(method: string, value: unknown, count: number): Promise<number> {
  let done = 0;
  const reply: ReplyPort = {
    ok: () => {
      done += 1;
    },
    error: (_, error) => {
      throw error;
    },
  };
  const host = makeHost(() => {
    throw new Error('no calls');
  });
  const requests = Array.from({ length: 1_000 }, (_, id) => request(id, 'counter', method, keys[id % 100] as string, value, reply));
  const start = performance.now();
  for (let sent = 0; sent < count;) {
    for (let i = 0; i < 1_000; i += 1, sent += 1) host.admit(0, requests[i] as InboundRequest);
    if (done < sent) await host.drainTurns();
  }
  const seconds = (performance.now() - start) / 1_000;
  if (done !== count) throw new Error(`${done} of ${count} turns`);
  await host.stop();
  return count / seconds;
}

/** A closed loop of requests with promises. */
async function requests(method: string, value: unknown, count: number, inFlight: number): Promise<number> {
  const host = makeHost(() => caller);
  const caller: Caller = new Promising(() => host);
  let left = count;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async (_, worker) => {
      while (left > 0) {
        left -= 1;
        await caller.request('counter', method, keys[worker % 100] as string, value);
      }
    }),
  );
  const seconds = (performance.now() - start) / 1_000;
  await host.stop();
  return count / seconds;
}

async function memory(count: number): Promise<number> {
  const reply: ReplyPort = { ok: () => {}, error: (_, error) => console.error(error) };
  const host = makeHost(() => {
    throw new Error('no calls');
  });
  const gc = (globalThis as { gc?: () => void }).gc;
  if (gc === undefined) throw new Error('run with --expose-gc');
  gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i += 1) host.admit(0, request(i, 'counter', 'bump', `counter-${i}`, undefined, reply));
  await host.drainTurns();
  gc();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  if (host.inspect().resident !== count) throw new Error('not all are resident');
  await host.stop();
  return bytes;
}

const show = (name: string, figure: number): void => console.log(name.padEnd(52), Math.round(figure).toLocaleString('en').padStart(12));

for (let round = 0; round < 3; round += 1) {
  show('turns/s, no input', await turns('bump', undefined, 3_000_000));
  show('turns/s, zod input', await turns('add', input, 2_000_000));
  show('turns/s, asynchronous handler', await turns('later', undefined, 1_000_000));
  show('requests/s with a promise, zod input, 64 in flight', await requests('add', input, 1_000_000, 64));
  show('requests/s with a promise, zod input, 1 in flight', await requests('add', input, 500_000, 1));
  show('nested calls/s, 64 in flight', await requests('via', undefined, 300_000, 64));
}
show('bytes for an idle actor', await memory(1_000_000));
