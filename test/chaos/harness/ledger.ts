import { type ActorDefinition, defineActor } from '@perkey/core';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { machineMs } from './machine-clock.ts';
import type { Trace } from './trace.ts';

/** What an actor says of itself in each reply. */
const Seen = z.object({
  value: z.number(),
  /** Drawn when the state was made: another one means that the state died in between. */
  born: z.string(),
  epoch: z.number(),
  node: z.string(),
  /** The incarnation of the node that ran the turn. */
  by: z.string(),
});

export type Seen = z.infer<typeof Seen>;

/** A counter whose every turn leaves a line, so that what was answered can be held against what was executed. */
export const Ledger = defineActor('ledger', {
  /** Adds one. With `holdMs` the turn ends that much later; `started` is told to the harness before. */
  add: { input: z.object({ rid: z.string(), holdMs: z.number().default(0) }), output: Seen },
  get: { output: Seen, readonly: true },
});

/** An actor that does what it should not. */
export const Odd = defineActor('odd', {
  /** Holds the event loop of its node. */
  block: { input: z.object({ ms: z.number() }) },
  hang: {},
  fail: {},
  ping: {},
  produce: { input: z.object({ bytes: z.number() }), output: z.string() },
  swallow: { input: z.string(), output: z.number() },
});

/** An actor that cannot be activated. */
export const Brittle = defineActor('brittle', { ping: {} });

/** Work that takes the processor for a while. */
export const Worker = defineActor('worker', { work: { input: z.object({ us: z.number() }), output: z.number() } });

export interface Host {
  readonly trace: Trace;
  /** The incarnation of the node at this moment. */
  readonly incarnation: () => string;
  /** A turn that takes long has begun. */
  readonly onStarted: (rid: string) => void;
  /** Undefined: never. */
  readonly passivateAfterMs: number | undefined;
}

export function ledger({ trace, incarnation, onStarted, passivateAfterMs }: Host): ActorDefinition {
  return Ledger.host({
    ...(passivateAfterMs === undefined ? {} : { passivateAfterMs }),
    state: (): { value: number; born: string } => ({ value: 0, born: crypto.randomUUID() }),
    add(ctx, { rid, holdMs }) {
      const by = incarnation();
      ctx.state.value += 1;
      const seen = { ...ctx.state, epoch: ctx.epoch, node: ctx.nodeId, by };
      trace.write({ is: 'turn', at: machineMs(), rid, key: ctx.key, ...seen });
      if (holdMs === 0) return seen;
      onStarted(rid);
      return delay(holdMs).then(() => seen);
    },
    get: (ctx) => ({ ...ctx.state, epoch: ctx.epoch, node: ctx.nodeId, by: incarnation() }),
  });
}

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

export const odd: ActorDefinition = Odd.host({
  state: () => ({}),
  turnTimeoutMs: 2_000,
  block: (_, { ms }) => spin(ms),
  hang: () => new Promise<void>(() => {}),
  fail: () => {
    throw new Error('a handler that fails');
  },
  ping: () => {},
  produce: (_, { bytes }) => 'x'.repeat(bytes),
  swallow: (_, text) => text.length,
});

export const brittle: ActorDefinition = Brittle.host({
  state: (): object => {
    throw new Error('a state that cannot be made');
  },
  ping: () => {},
});

export const worker: ActorDefinition = Worker.host({
  state: () => ({ done: 0 }),
  work: (ctx, { us }) => {
    spin(us / 1_000);
    return (ctx.state.done += 1);
  },
});
