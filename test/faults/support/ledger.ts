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
  /** Adds one. With `holdMs` the turn ends that much later; `started` is told to the test before. */
  add: { input: z.object({ rid: z.string(), holdMs: z.number().default(0) }), output: Seen },
  get: { output: Seen, readonly: true },
});

export interface Host {
  readonly trace: Trace;
  /** The incarnation of the node at this moment. */
  readonly incarnation: () => string;
  /** A turn that takes long has begun. */
  readonly onStarted: (rid: string) => void;
}

export function ledger({ trace, incarnation, onStarted }: Host): ActorDefinition {
  return Ledger.host({
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
