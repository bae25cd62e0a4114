import { z } from 'zod';
import { type ActorDefinition, defineActor } from '../actor/definition.ts';

const Inbox = defineActor('inbox', {
  take: { input: z.int() },
  refuse: { input: z.int() },
  taken: { output: z.array(z.int()), readonly: true },
});

/** Takes numbers that outboxes send it, as often as they come. */
export const inbox: ActorDefinition = Inbox.aggregate({
  initial: () => ({ taken: [] as number[] }),
  events: { Taken: z.object({ n: z.int() }) },
  evolve: { Taken: (state, { n }) => ({ taken: [...state.taken, n] }) },
  commands: {
    take: (ctx, n) => ctx.raise('Taken', { n }),
    refuse() {
      throw new Error('this number is not taken');
    },
  },
  queries: { taken: (ctx) => ctx.state.taken },
});

const when = z.object({
  name: z.string().default('r'),
  at: z.number().optional(),
  everyMs: z.number().optional(),
  cron: z.string().optional(),
  missed: z.enum(['once', 'all', 'skip']).optional(),
  method: z.enum(['ring', 'look', 'fail']).default('ring'),
});

const methods = {
  send: {
    input: z.object({ from: z.int(), count: z.int().default(1), to: z.enum(['subject', 'inbox', 'refusal', 'nobody']).default('subject') }),
  },
  remind: { input: when },
  cancel: { input: z.string().default('r'), output: z.boolean() },
  ring: {},
  fail: {},
  look: { readonly: true },
  rung: { output: z.array(z.number()), readonly: true },
  set: { output: z.array(z.string()), readonly: true },
  crowd: { input: z.int() },
} as const;

type When = z.infer<typeof when>;

function scheduleOf({ at, everyMs, cron }: When): { readonly at: number } | { readonly everyMs: number } | { readonly cron: string } {
  if (at !== undefined) return { at };
  return everyMs !== undefined ? { everyMs } : { cron: cron ?? '* * * * *' };
}

const Errand = defineActor('errand', methods);

/** Sends numbers by its outbox, and notes when its reminders rang. Its state is events. */
export const errand: ActorDefinition = Errand.aggregate({
  initial: () => ({ rung: [] as number[] }),
  events: { Rung: z.object({}), Sent: z.object({ n: z.int() }) },
  evolve: { Rung: (state, _event, { at }) => ({ rung: [...state.rung, at] }), Sent: (state) => state },
  commands: {
    send(ctx, { from, count, to }) {
      for (let n = from; n < from + count; n += 1) {
        ctx.raise('Sent', { n });
        if (to === 'subject') ctx.outbox.publish('numbers.sent', n);
        else if (to === 'nobody') ctx.outbox.actor(defineActor('nobody', { take: { input: z.int() } }), ctx.key).take(n);
        else if (to === 'inbox') ctx.outbox.actor(Inbox, ctx.key).take(n);
        else ctx.outbox.actor(Inbox, ctx.key).refuse(n);
      }
    },
    remind: (ctx, input) =>
      ctx.reminders.set(input.name, scheduleOf(input), { method: input.method, ...(input.missed && { missed: input.missed }) }),
    cancel: (ctx, name) => ctx.reminders.cancel(name),
    ring: (ctx) => ctx.raise('Rung', {}),
    fail() {
      throw new Error('the reminder fails');
    },
    crowd(ctx, count) {
      for (let i = 0; i < count; i += 1) ctx.reminders.set(`r${i}`, { everyMs: 1_000 }, { method: 'ring' });
    },
  },
  queries: { look: () => {}, rung: (ctx) => ctx.state.rung, set: (ctx) => ctx.reminders.list().map(({ name }) => name) },
});

const Kept = defineActor('kept', methods);

/** The same, but what is stored is the state, and a number in place of each time. */
export const kept: ActorDefinition = Kept.host({
  persist: 'state',
  state: () => ({ rung: [] as number[] }),
  send(ctx, { from, count }) {
    for (let n = from; n < from + count; n += 1) ctx.outbox.publish('numbers.sent', n);
  },
  remind: (ctx, input) => ctx.reminders.set(input.name, scheduleOf(input), { method: input.method }),
  cancel: (ctx, name) => ctx.reminders.cancel(name),
  ring: (ctx) => void ctx.state.rung.push(ctx.state.rung.length),
  fail() {
    throw new Error('the reminder fails');
  },
  look: () => {},
  crowd: () => {},
  rung: (ctx) => ctx.state.rung,
  set: (ctx) => ctx.reminders.list().map(({ name }) => name),
});
