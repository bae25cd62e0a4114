import { defineActor } from '@perkey/core';
import { z } from 'zod';

/** The actor that is called: the counter of the README, checked by zod. */
export const Counter = defineActor('counter', {
  increment: {
    input: z.object({ amount: z.number().int().default(1) }),
    output: z.object({ counter_id: z.string(), value: z.number().int() }),
  },
});

export const counter = Counter.host({
  state: () => ({ value: 0 }),
  increment(ctx, { amount }) {
    ctx.state.value += amount;
    return { counter_id: ctx.key, value: ctx.state.value };
  },
});

export const counterKeys: readonly string[] = Array.from({ length: 100 }, (_, i) => `counter-${i}`);
