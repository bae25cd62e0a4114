import { expect, test } from 'vitest';
import type { ActorFixture } from '../testkit/actor-fixture.ts';
import { account, counter } from '../testkit/accounts.ts';
import { CrashPoints } from '../testkit/crash-points.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

interface Step {
  readonly type: string;
  readonly method: string;
  readonly input: unknown;
  readonly reply: unknown;
}

/** What a client does, one after the other, each with an idempotency key. */
const steps: Readonly<Record<'account' | 'counter', readonly Step[]>> = {
  account: [
    { type: 'account', method: 'deposit', input: { amount: 1n }, reply: 1n },
    { type: 'account', method: 'slowDeposit', input: { amount: 2n }, reply: 3n },
    { type: 'account', method: 'balance', input: undefined, reply: 3n },
    { type: 'account', method: 'deposit', input: { amount: 4n }, reply: 7n },
    { type: 'account', method: 'withdraw', input: { amount: 2n }, reply: 5n },
    { type: 'account', method: 'deposit', input: { amount: 8n }, reply: 13n },
  ],
  counter: [
    { type: 'counter', method: 'add', input: 1, reply: 1 },
    { type: 'counter', method: 'add', input: 2, reply: 3 },
    { type: 'counter', method: 'get', input: undefined, reply: 3 },
    { type: 'counter', method: 'add', input: 4, reply: 7 },
  ],
};

const isQuery = ({ input }: Step): boolean => input === undefined;

/** Asks one step of a node; true when it answered, with what it had to. */
async function does(world: DurableWorld, node: ActorFixture, step: Step, index: number, points?: CrashPoints): Promise<boolean> {
  let answered: { readonly value: unknown } | undefined;
  const reply = {
    ok: (_id: number, value: unknown) => (answered = { value }),
    error: (_id: number, error: Error) => (answered = { value: error }),
  };
  const more = points === undefined ? { reply } : points.request(reply);
  node.ask(step.type, 'alice', step.method, step.input, { ...more, idempotencyKey: `step-${index}`, deadline: Infinity });
  await world.clock.advance(50);
  if (answered !== undefined) expect(answered.value).toEqual(step.reply);
  return answered !== undefined;
}

/** The client goes on with the next owner where the first one died; returns the points that the first one passed. */
async function runKilledAt(name: keyof typeof steps, killAt: number, isLateFirst: boolean): Promise<readonly string[]> {
  const world = await DurableWorld.start();
  const points = new CrashPoints(killAt);
  const first = world.node([account, counter], { through: (store) => points.store(store), durable: { snapshotEvery: 2 } });
  const todo = steps[name];
  let done = 0;
  while (done < todo.length && (await does(world, first, todo[done] as Step, done, points))) done += 1;
  await world.clock.advance(50);
  if (isLateFirst) points.releaseLate();
  const second = world.node([account, counter], { durable: { snapshotEvery: 2 } });
  for (let index = Math.max(0, done - 1); index < todo.length; index += 1) {
    // A query that was answered may see more when it is asked again.
    if (index < done && isQuery(todo[index] as Step)) continue;
    expect(await does(world, second, todo[index] as Step, index)).toBe(true);
    if (index === done) points.releaseLate();
  }
  points.releaseLate();
  await world.clock.advance(50);
  const third = world.node([account, counter]);
  const last = todo.at(-1) as Step;
  const get = name === 'account' ? 'balance' : 'get';
  expect(await does(world, third, { ...last, method: get, input: undefined }, 99)).toBe(true);
  if (name === 'account') {
    expect(await world.verify({ type: 'account', key: 'alice' })).toEqual([]);
    expect(await world.events('account', 'alice')).toHaveLength(5);
  }
  return points.passed;
}

test.each(['account', 'counter'] as const)(
  'killed at any point between a call and its reply, an %s loses nothing acknowledged and doubles nothing that is repeated',
  async (name) => {
    const points = await runKilledAt(name, Infinity, false);
    expect(new Set(points)).toEqual(
      new Set(
        name === 'account'
          ? [
              ...['before snapshot load', 'after snapshot load', 'before read events', 'after read events', 'before end of read events'],
              ...['after end of read events', 'before append events', 'after append events', 'reply'],
              ...['before snapshot save', 'after snapshot save', 'before barrier events', 'after barrier events'],
            ]
          : [
              ...['before read states', 'after read states', 'before end of read states', 'after end of read states'],
              ...['before append states', 'after append states', 'reply', 'before barrier states', 'after barrier states'],
            ],
      ),
    );
    for (let killAt = 0; killAt < points.length; killAt += 1) {
      await runKilledAt(name, killAt, false);
      await runKilledAt(name, killAt, true);
    }
  },
  60_000,
);
