import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { MissedReminders } from '../actor/aggregate-context.ts';
import { type ActorDefinition, defineActor } from '../actor/definition.ts';

/** Takes everything, as a value of the type. */
function any<T>(): StandardSchemaV1<T> {
  return { '~standard': { version: 1, vendor: 'perkey', validate: (value) => ({ value: value as T }) } };
}

const Inbox = defineActor('inbox', {
  take: { input: any<number>() },
  refuse: { input: any<number>() },
  taken: { output: any<number[]>(), readonly: true },
});

/** Takes numbers that outboxes send it, as often as they come. */
export const inbox: ActorDefinition = Inbox.aggregate({
  initial: () => ({ taken: [] as number[] }),
  events: { Taken: any<{ readonly n: number }>() },
  evolve: { Taken: (state, { n }) => ({ taken: [...state.taken, n] }) },
  commands: {
    take: (ctx, n) => ctx.raise('Taken', { n }),
    refuse() {
      throw new Error('this number is not taken');
    },
  },
  queries: { taken: (ctx) => ctx.state.taken },
});

interface When {
  readonly name?: string;
  readonly at?: number;
  readonly everyMs?: number;
  readonly cron?: string;
  readonly missed?: MissedReminders;
  readonly method?: 'ring' | 'look' | 'fail';
}

interface Sending {
  readonly from: number;
  readonly count?: number;
  readonly to?: 'subject' | 'inbox' | 'refusal' | 'nobody';
}

const methods = {
  send: {
    input: any<Sending>(),
  },
  remind: { input: any<When>() },
  cancel: { input: any<string>(), output: any<boolean>() },
  ring: {},
  fail: {},
  look: { readonly: true },
  rung: { output: any<number[]>(), readonly: true },
  set: { output: any<string[]>(), readonly: true },
  crowd: { input: any<number>() },
} as const;

function scheduleOf({ at, everyMs, cron }: When): { readonly at: number } | { readonly everyMs: number } | { readonly cron: string } {
  if (at !== undefined) return { at };
  return everyMs !== undefined ? { everyMs } : { cron: cron ?? '* * * * *' };
}

const Errand = defineActor('errand', methods);

/** Sends numbers by its outbox, and notes when its reminders rang. Its state is events. */
export const errand: ActorDefinition = Errand.aggregate({
  initial: () => ({ rung: [] as number[] }),
  events: { Rung: any<object>(), Sent: any<{ readonly n: number }>() },
  evolve: { Rung: (state, _event, { at }) => ({ rung: [...state.rung, at] }), Sent: (state) => state },
  commands: {
    send(ctx, { from, count = 1, to = 'subject' }) {
      for (let n = from; n < from + count; n += 1) {
        ctx.raise('Sent', { n });
        if (to === 'subject') ctx.outbox.publish('numbers.sent', n);
        else if (to === 'nobody') ctx.outbox.actor(defineActor('nobody', { take: { input: any<number>() } }), ctx.key).take(n);
        else if (to === 'inbox') ctx.outbox.actor(Inbox, ctx.key).take(n);
        else ctx.outbox.actor(Inbox, ctx.key).refuse(n);
      }
    },
    remind: (ctx, input) =>
      ctx.reminders.set(input.name ?? 'r', scheduleOf(input), {
        method: input.method ?? 'ring',
        ...(input.missed && { missed: input.missed }),
      }),
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
  send(ctx, { from, count = 1 }) {
    for (let n = from; n < from + count; n += 1) ctx.outbox.publish('numbers.sent', n);
  },
  remind: (ctx, input) => ctx.reminders.set(input.name ?? 'r', scheduleOf(input), { method: input.method ?? 'ring' }),
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
