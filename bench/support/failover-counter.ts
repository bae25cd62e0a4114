import { defineActor } from '@perkey/core';
import { z } from 'zod';

/** A counter that says which process answered, so that a caller sees when its key has moved. */
export const Counter = defineActor('counter', {
  increment: { input: z.object({ amount: z.number().int().default(1) }), output: z.object({ value: z.number(), pid: z.number() }) },
});

export const counter = Counter.host({
  state: () => ({ value: 0 }),
  increment(ctx, { amount }) {
    ctx.state.value += amount;
    return { value: ctx.state.value, pid: process.pid };
  },
});
