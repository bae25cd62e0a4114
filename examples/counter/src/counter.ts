import type { ActorDefinition } from '@perkey/core';
import { Counter } from './contract.ts';

/** One counter, hosted by nodes. Its state lives in memory and travels with a planned move. */
export const counter = counterKept();

/** The same, whose state is stored with every turn that changes it. */
export const durableCounter = counterKept('state');

function counterKept(persist?: 'state'): ActorDefinition {
  return Counter.host({
    state: () => ({ value: 0 }),
    ...(persist && { persist }),

    increment(ctx, { amount }) {
      const value = ctx.state.value + amount;
      if (!Number.isSafeInteger(value)) throw ctx.error('out_of_range', { value: ctx.state.value, amount });
      ctx.state.value = value;
      return { counter_id: ctx.key, value };
    },

    get(ctx) {
      return { counter_id: ctx.key, value: ctx.state.value };
    },
  });
}
