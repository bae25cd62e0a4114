import { expect, test } from 'vitest';
import { z } from 'zod';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Counter = defineActor('counter', { add: { output: z.number() }, wait: { output: z.number() }, lapse: { output: z.number() } });

/** `lapse` loses the lease in the middle of its turn. */
function host() {
  const gates: (() => void)[] = [];
  const fixture: ActorFixture = new ActorFixture([
    Counter.host({
      state: () => ({ value: 0 }),
      add: (ctx) => (ctx.state.value += 1),
      async wait(ctx) {
        await new Promise<void>((resolve) => gates.push(resolve));
        return (ctx.state.value += 1);
      },
      lapse(ctx) {
        fixture.mayAct = false;
        return (ctx.state.value += 10);
      },
    }),
  ]);
  return { fixture, gates };
}

test('without a lease nothing starts; with it again everything goes on in order', async () => {
  const { fixture } = host();
  fixture.ask('counter', 'a', 'add');
  fixture.mayAct = false;
  const asked = [1, 2, 3].map(() => fixture.ask('counter', 'a', 'add'));
  const other = fixture.ask('counter', 'new', 'add');
  await fixture.clock.advance(1_000);
  expect([...asked, other].map((one) => one.outcome)).toEqual(['waiting', 'waiting', 'waiting', 'waiting']);
  fixture.mayAct = true;
  fixture.host.resume();
  expect(asked.map((one) => one.value)).toEqual([2, 3, 4]);
  expect(other.value).toBe(1);
});

test('a request that comes when the lease is back does not overtake those that wait', () => {
  const { fixture } = host();
  fixture.ask('counter', 'a', 'add');
  fixture.mayAct = false;
  const before = fixture.ask('counter', 'a', 'add');
  fixture.mayAct = true;
  const after = fixture.ask('counter', 'a', 'add');
  expect([before.value, after.value]).toEqual([2, 3]);
});

test('a lease that lapses while turns run stops them after the turn under way', () => {
  const { fixture } = host();
  fixture.mayAct = false;
  const asked = ['add', 'lapse', 'add'].map((method) => fixture.ask('counter', 'a', method));
  const other = fixture.ask('counter', 'b', 'add');
  fixture.mayAct = true;
  fixture.host.resume();
  expect([...asked, other].map((one) => one.outcome)).toEqual(['ok', 'waiting', 'waiting', 'waiting']);
  expect(fixture.host.inspect()).toMatchObject({ waiting: 2, withheld: 1 });
});

test('what waits for the lease expires at its deadline, and nothing is watched afterwards', async () => {
  const { fixture } = host();
  fixture.mayAct = false;
  const asked = ['a', 'b'].map((key) => fixture.ask('counter', key, 'add', undefined, { deadline: fixture.clock.now() + 100 }));
  await fixture.clock.advance(200);
  expect(asked.map((one) => one.outcome)).toEqual(['request.expired', 'request.expired']);
  expect(fixture.host.inspect()).toMatchObject({ waiting: 0, resident: 0 });
  await fixture.clock.advance(200);
  expect(fixture.clock.pending).toBe(0);
});

test('a mailbox is bounded without a lease too', () => {
  const { fixture } = host();
  fixture.mayAct = false;
  const outcomes = Array.from({ length: 1_001 }, () => fixture.ask('counter', 'a', 'add').outcome);
  expect(outcomes[999]).toBe('waiting');
  expect(outcomes[1_000]).toBe('mailbox.full');
});

test('an actor whose only request expired before it was activated does not stay', async () => {
  const { fixture } = host();
  fixture.mayAct = false;
  const asked = fixture.ask('counter', 'a', 'add', undefined, { deadline: fixture.clock.now() + 10 });
  await fixture.clock.advance(15);
  fixture.mayAct = true;
  fixture.host.resume();
  expect(asked.outcome).toBe('request.expired');
  expect(fixture.host.inspect().resident).toBe(0);
});

test('a reply of a turn that outlived the lease is withheld until the lease is back', async () => {
  const { fixture, gates } = host();
  const asked = fixture.ask('counter', 'a', 'wait');
  const sync = fixture.ask('counter', 'b', 'lapse');
  gates[0]?.();
  await fixture.clock.advance(100);
  expect([asked.outcome, sync.outcome, fixture.host.inspect().withheld]).toEqual(['waiting', 'waiting', 2]);
  expect(fixture.metric('perkey_actor_replies_withheld')).toBe(2);
  fixture.host.resume();
  expect(asked.outcome).toBe('waiting');
  fixture.mayAct = true;
  fixture.host.resume();
  expect([asked.value, sync.value, fixture.host.inspect().withheld]).toEqual([1, 10, 0]);
});

test('nothing overtakes a withheld reply', () => {
  const { fixture } = host();
  const order: string[] = [];
  const port = (name: string) => ({ reply: { ok: () => order.push(name), error: () => order.push(`${name} failed`) } });
  fixture.ask('counter', 'a', 'lapse', undefined, port('first'));
  fixture.mayAct = true;
  fixture.ask('counter', 'b', 'add', undefined, port('second'));
  expect(order).toEqual(['first', 'second']);
});

test('drainTurns is told when the last request that waited expired', async () => {
  const { fixture } = host();
  fixture.mayAct = false;
  fixture.ask('counter', 'a', 'add', undefined, { deadline: fixture.clock.now() + 10 });
  await fixture.clock.run(fixture.host.drainTurns(), { limitMs: 100 });
});

test('a withheld reply of a lost shard is never sent', () => {
  const { fixture } = host();
  const asked = fixture.ask('counter', 'a', 'lapse');
  const waiting = fixture.ask('counter', 'a', 'add');
  fixture.host.dropShard(0);
  expect(asked.error).toMatchObject({ code: 'turn.abandoned', executed: 'unknown' });
  expect(waiting.error).toMatchObject({ code: 'shard.moved', executed: 'no' });
  fixture.mayAct = true;
  fixture.host.resume();
  expect(fixture.host.inspect()).toMatchObject({ shards: 0, resident: 0, waiting: 0, withheld: 0 });
});

test('a shard that is lost in the middle of a synchronous turn takes its answer with it', () => {
  const Odd = defineActor('odd', { drop: { output: z.number() } });
  const fixture: ActorFixture = new ActorFixture([
    Odd.host({
      state: () => 0,
      drop() {
        fixture.host.dropShard(0);
        return 1;
      },
    }),
  ]);
  expect(fixture.ask('odd', 'a', 'drop').outcome).toBe('turn.abandoned');
  expect(fixture.host.inspect()).toMatchObject({ resident: 0, running: 0 });
});

test('a lost shard abandons its turns, and what they come to is ignored', async () => {
  const { fixture, gates } = host();
  const asked = fixture.ask('counter', 'a', 'wait');
  const queued = fixture.ask('counter', 'a', 'add');
  fixture.host.dropShard(0);
  expect([asked.outcome, queued.outcome]).toEqual(['turn.abandoned', 'shard.moved']);
  gates[0]?.();
  await fixture.clock.advance(100);
  expect(fixture.host.inspect()).toMatchObject({ running: 0, resident: 0 });
  expect(fixture.ask('counter', 'a', 'add').outcome).toBe('shard.moved');
  fixture.host.openShard(0, 8, []);
  expect(fixture.ask('counter', 'a', 'add').value).toBe(1);
});
