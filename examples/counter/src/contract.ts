import { defineActor } from '@perkey/core';
import { z } from 'zod';

const CounterValue = z.object({ counter_id: z.string(), value: z.int() });

/** What callers and hosts share. */
export const Counter = defineActor(
  'counter',
  {
    increment: { input: z.object({ amount: z.int().default(1) }), output: CounterValue },
    get: { output: CounterValue, readonly: true },
  },
  // The sum would no longer be an exact integer; the counter keeps its value.
  { errors: { out_of_range: z.object({ value: z.int(), amount: z.int() }) } },
);
