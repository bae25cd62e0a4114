import { bindHandle, bindNotifyHandle } from './handle-classes.ts';
import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import * as v from 'valibot';
import type { Caller } from '../contract/calls.ts';
import { defineActor } from './definition.ts';
import { isActorError } from './domain-error.ts';

const CounterValue = z.object({ counter_id: z.string(), value: z.number() });

const Counter = defineActor(
  'counter',
  {
    increment: { input: z.object({ amount: z.number().int().default(1) }), output: CounterValue },
    set: { input: z.object({ value: z.number() }) },
    get: { output: CounterValue, readonly: true },
    rename: {
      input: v.pipe(
        v.string(),
        v.transform((text) => text.length),
      ),
      output: v.number(),
    },
  },
  { errors: { out_of_range: z.object({ limit: z.number() }), locked: z.object({ by: z.string() }) } },
);

test('a definition types its handlers', () => {
  Counter.host({
    state: () => ({ value: 0 }),
    increment(ctx, { amount }) {
      expectTypeOf(ctx.state).toEqualTypeOf<{ value: number }>();
      expectTypeOf(amount).toEqualTypeOf<number>();
      ctx.state = { value: 2 };
      if (amount > 10) throw ctx.error('out_of_range', { limit: 10 });
      // @ts-expect-error wrong data
      void ctx.error('out_of_range', { limit: '10' });
      // @ts-expect-error unknown code
      void ctx.error('nope', {});
      ctx.timers.set('tick', { everyMs: 100 });
      ctx.timers.set('tock', { afterMs: 100 }, { a: 1 });
      // @ts-expect-error unknown timer
      ctx.timers.set('tack', { afterMs: 100 });
      // @ts-expect-error both schedules
      ctx.timers.set('tick', { afterMs: 100, everyMs: 1 });
      ctx.self.set({ value: 3 });
      ctx.background('work', async ({ signal, self }) => {
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
        self.set({ value: 3 });
      });
      return { counter_id: ctx.key, value: ctx.state.value };
    },
    set(ctx, { value }) {
      ctx.state.value = value;
    },
    async get(ctx, input) {
      expectTypeOf(input).toEqualTypeOf<undefined>();
      const other = await ctx.actor(Counter, 'other').get();
      expectTypeOf(other).toEqualTypeOf<{ counter_id: string; value: number }>();
      return { counter_id: ctx.key, value: ctx.state.value };
    },
    rename: (_ctx, length) => length,
    timers: {
      tick(ctx) {
        ctx.state.value += 1;
      },
      async tock(ctx, input: { a: number }) {
        ctx.state.value += input.a;
        ctx.timers.cancel('tick');
      },
    },
    onActivate(ctx, origin) {
      expectTypeOf(origin).toEqualTypeOf<'new' | 'moved'>();
      ctx.timers.set('tick', { everyMs: 5 });
    },
    passivateAfterMs: 100,
  });
});

test('the state may depend on the key', () => {
  const Keyed = defineActor('keyed', { get: { output: z.string() } });
  Keyed.host({ state: (key) => ({ name: key }), get: (ctx) => ctx.state.name });
  Keyed.host({ get: (ctx) => ctx.state.name, state: () => ({ name: 'x' }) });
});

test('wrong definitions do not compile', () => {
  // @ts-expect-error missing methods
  Counter.host({ state: () => 1 });
  const One = defineActor('one', { get: { output: z.number() }, put: { input: z.number() } });
  // @ts-expect-error wrong return
  One.host({ state: () => 1, get: () => 'x', put: () => {} });
  // @ts-expect-error wrong input
  One.host({ state: () => 1, get: () => 1, put: (_ctx, input: string) => void input });
  // @ts-expect-error unknown option
  One.host({ state: () => 1, get: () => 1, put: () => {}, passivateAfter: 3 });
  // @ts-expect-error no timers declared
  One.host({ state: () => 1, get: () => 1, put: (ctx) => ctx.timers.set('x', { afterMs: 1 }) });
});

test('handles are typed by the contract', () => {
  const check = async (caller: Caller): Promise<void> => {
    const counter = bindHandle(Counter, 'a', caller);
    expectTypeOf(await counter.increment({ amount: 5 })).toEqualTypeOf<{ counter_id: string; value: number }>();
    await counter.increment({}, { timeoutMs: 5 });
    await counter.increment();
    await counter.get({ timeoutMs: 5 });
    await counter.get();
    await counter.set({ value: 3 });
    expectTypeOf(counter.set).returns.resolves.toEqualTypeOf<void>();
    expectTypeOf(await counter.rename('long')).toEqualTypeOf<number>();
    // @ts-expect-error input is needed
    void counter.set();
    // @ts-expect-error wrong input
    void counter.increment({ amount: '5' });
    // @ts-expect-error no such method
    void counter.decrement();
    const one = bindNotifyHandle(Counter, 'a', caller);
    expectTypeOf(one.set({ value: 1 })).toEqualTypeOf<void>();
  };
  void check;
});

test('a caught error narrows to the declared ones', () => {
  const error: unknown = new Error('x');
  if (isActorError(Counter, error, 'out_of_range')) expectTypeOf(error.details.data).toEqualTypeOf<{ limit: number }>();
  if (isActorError(Counter, error)) {
    expectTypeOf(error.details.code).toEqualTypeOf<'out_of_range' | 'locked'>();
    if (error.details.code === 'locked') expectTypeOf(error.details.data).toEqualTypeOf<{ by: string }>();
  }
  // @ts-expect-error not declared
  if (isActorError(Counter, error, 'nope')) throw error;
});
