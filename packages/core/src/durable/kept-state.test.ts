import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import type { ActorFixture, Asked } from '../testkit/actor-fixture.ts';
import { counter, settled } from '../testkit/accounts.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';
import type { AppendFault } from '../testkit/faults/commit-faults.ts';

const ask = (world: DurableWorld, node: ActorFixture, method: string, input?: unknown, more = {}): Promise<Asked> =>
  settled(world, node.ask('counter', 'a', method, input, more));

test('the state is stored with each turn that changed it, and only then', async () => {
  const world = await DurableWorld.start();
  const node = world.node([counter]);
  expect((await ask(world, node, 'add', 2)).value).toBe(2);
  expect((await ask(world, node, 'addLater', 3)).value).toBe(5);
  expect(node.ask('counter', 'a', 'touch').value).toBe('nothing changed');
  expect(node.ask('counter', 'a', 'get').value).toBe(5);
  expect(node.ask('counter', 'a', 'add', 0).value).toBe(5);
  const [last] = await world.commits('counter', 'a', 'states');
  expect([last?.kind, last?.version, last?.epoch]).toEqual(['state', 2, 7]);
  await world.clock.advance(700_000);
  expect(node.host.inspect().resident).toBe(0);
  expect((await ask(world, node, 'get')).value).toBe(5);
  const other = world.node([counter]);
  expect((await ask(world, other, 'get')).value).toBe(5);
});

test('a turn that fails leaves the state as it was stored last', async () => {
  const world = await DurableWorld.start();
  const node = world.node([counter]);
  await ask(world, node, 'add', 2);
  expect(node.ask('counter', 'a', 'spoil').outcome).toBe('handler.failed');
  expect(node.ask('counter', 'a', 'get').value).toBe(2);
  const rotten = node.ask('counter', 'a', 'rot');
  expect([rotten.outcome, rotten.error?.executed]).toEqual(['state.not_plain', 'no']);
  expect(node.ask('counter', 'a', 'get').value).toBe(2);
});

const list = z.array(z.int());
const Shelf = defineActor('shelf', {
  put: { input: z.int() },
  spoil: {},
  get: { output: list, readonly: true },
  sort: { output: list, readonly: true },
  sortLater: { output: list, readonly: true },
  replace: { output: list, readonly: true },
  swallow: { output: list, readonly: true },
});

class Shelves {
  readonly seen: unknown[] = [];
  readonly mine = [0];
  readonly definition = Shelf.host({
    state: () => ({ items: [3], opened: false }),
    persist: 'state',
    onActivate: (ctx) => void (ctx.state.opened = true),
    put: (ctx, item) => {
      this.mine.push(item);
      ctx.state.items = [...ctx.state.items, item];
      (ctx.state as { mine?: unknown }).mine = this.mine;
    },
    spoil(ctx) {
      ctx.state.items.length = 0;
      throw new Error('after it changed the state');
    },
    get: (ctx) => {
      this.seen.push(ctx.state);
      return [...ctx.state.items, ctx.state.opened ? 1 : 0];
    },
    sort: (ctx) => ctx.state.items.sort((a, b) => a - b),
    async sortLater(ctx) {
      await Promise.resolve();
      return ctx.state.items.sort((a, b) => a - b);
    },
    replace(ctx) {
      ctx.state = { items: [], opened: false };
      return [];
    },
    swallow(ctx) {
      try {
        ctx.state.items.push(7);
      } catch {
        // Told to nobody.
      }
      return ctx.state.items;
    },
  });
}

test('a method that the contract declares readonly cannot change what is in memory', async () => {
  const world = await DurableWorld.start();
  const shelves = new Shelves();
  const node = world.node([shelves.definition]);
  const on = (method: string, input?: unknown): Promise<Asked> => settled(world, node.ask('shelf', 'a', method, input));
  // What the hook has changed is seen, though it is not stored.
  expect((await on('get')).value).toEqual([3, 1]);
  await on('put', 1);
  for (const method of ['sort', 'sortLater', 'replace']) {
    const { error } = await on(method);
    expect([method, error?.code, error?.executed]).toEqual([method, 'handler.failed', 'yes']);
    expect((await on('get')).value).toEqual([3, 1, 1]);
  }
  expect((await on('swallow')).value).toEqual([3, 1]);
  await on('put', 2);
  expect((await on('get')).value).toEqual([3, 1, 2, 1]);
  expect((await on('spoil')).outcome).toBe('handler.failed');
  expect((await on('get')).value).toContain(2);
  // What a handler put into the state and kept for itself is still its own.
  expect(shelves.mine).toEqual([0, 1, 2]);
  expect(await world.commits('shelf', 'a', 'states')).toMatchObject([{ version: 2 }]);
});

test('turns that only look share one view of the state, until a turn may change it', async () => {
  const world = await DurableWorld.start();
  const shelves = new Shelves();
  const node = world.node([shelves.definition]);
  const on = (method: string, input?: unknown): Promise<Asked> => settled(world, node.ask('shelf', 'a', method, input));
  for (const method of ['get', 'get', 'put', 'get', 'get', 'spoil', 'get', 'get']) await on(method, method === 'put' ? 1 : undefined);
  const { seen } = shelves;
  expect(seen).toHaveLength(6);
  expect([seen[0] === seen[1], seen[1] === seen[2], seen[2] === seen[3], seen[3] === seen[4], seen[4] === seen[5]]).toEqual([
    true,
    false,
    true,
    false,
    true,
  ]);
});

const faults: readonly [AppendFault, string, number][] = [
  ['full', 'store.full', 2],
  ['unavailable', 'store.unavailable', 2],
  ['lost', 'ok', 7],
  ['stored_unknown', 'ok', 7],
  ['late', 'ok', 7],
  ['conflict', 'ok', 7],
  ['stored_conflict', 'ok', 7],
];

test.each(faults)('a save that is %s ends as %s, and a repeat counts once', async (fault, outcome, value) => {
  const world = await DurableWorld.start();
  const node = world.node([counter]);
  await ask(world, node, 'add', 2);
  world.faults.nextAppends(fault);
  expect((await ask(world, node, 'add', 5, { idempotencyKey: 'k' })).outcome).toBe(outcome);
  expect((await ask(world, node, 'get')).value).toBe(value);
  world.faults.releaseLate();
  await world.clock.advance(100);
  expect((await ask(world, node, 'add', 5, { idempotencyKey: 'k' })).value).toBe(7);
  const other = world.node([counter]);
  expect((await ask(world, other, 'add', 5, { idempotencyKey: 'k' })).value).toBe(7);
  expect((await ask(world, other, 'get')).value).toBe(7);
});

test('of two owners that believe in themselves the later one alone can store', async () => {
  const world = await DurableWorld.start();
  const first = world.node([counter]);
  await ask(world, first, 'add', 1);
  const second = world.node([counter]);
  await ask(world, second, 'add', 10);
  const late = await ask(world, first, 'add', 100);
  expect([late.outcome, late.error?.executed]).toEqual(['shard.moved', 'no']);
  expect((await ask(world, second, 'get')).value).toBe(11);
  expect(first.metric('perkey_durable_fence_rejections_total', 'type=counter')).toBe(1);
});

const stamped = defineActor('stamped', { stamp: { output: z.int() }, get: { output: z.int(), readonly: true } }).host({
  state: () => ({ epoch: 0 }),
  persist: 'state',
  stamp: (ctx) => (ctx.state.epoch = ctx.epoch),
  get: (ctx) => ctx.state.epoch,
});

test('a repeat whose first execution another owner stored meanwhile gets the reply and the state of that one', async () => {
  const world = await DurableWorld.start();
  const first = world.node([stamped]);
  const second = world.node([stamped]);
  const on = (node: ActorFixture, method: string, idempotencyKey?: string): Promise<Asked> =>
    settled(world, node.ask('stamped', 'a', method, undefined, { idempotencyKey }));
  expect((await on(second, 'get')).value).toBe(0);
  expect((await on(first, 'stamp', 'k')).value).toBe(7);
  expect((await on(second, 'stamp', 'k')).value).toBe(7);
  expect((await on(second, 'get')).value).toBe(7);
  expect((await on(second, 'stamp')).value).toBe(8);
  expect(await world.commits('stamped', 'a', 'states')).toMatchObject([{ version: 2, epoch: 8 }]);
});

test('timers outlive a store that is away, in a move and after a commit whose outcome nobody knew', async () => {
  const clockwork = defineActor('clockwork', { wind: {}, add: {}, get: { output: z.int(), readonly: true } }).host({
    state: () => ({ ticks: 0 }),
    persist: 'state',
    timers: {
      once: (ctx) => void (ctx.state.ticks += 100),
      often: (ctx) => void (ctx.state.ticks += 1),
    },
    wind(ctx) {
      ctx.timers.set('once', { afterMs: 3_000 });
      ctx.timers.set('often', { everyMs: 10_000 });
    },
    add: (ctx) => void (ctx.state.ticks += 0.5),
    get: (ctx) => Math.floor(ctx.state.ticks),
  });
  const world = await DurableWorld.start();
  const node = world.node([clockwork]);
  const on = (at: ActorFixture, method: string): Promise<Asked> =>
    settled(world, at.ask('clockwork', 'a', method, undefined, { deadline: Infinity }));
  await on(node, 'wind');
  const carried = await world.clock.run(node.host.closeShard(0, { drainMs: 100, successor: undefined }));
  const next = world.node([clockwork]);
  world.faults.unavailable();
  next.host.openShard(0, 20, carried);
  await world.clock.advance(5_000);
  expect((await on(next, 'get')).outcome).toBe('store.unavailable');
  world.faults.heal();
  await world.clock.advance(30_000);
  expect((await on(next, 'get')).value).toBe(103);

  world.faults.nextAppends('lost');
  world.faults.slow(20);
  const unknown = next.ask('clockwork', 'a', 'add', undefined, { deadline: Infinity });
  await world.clock.advance(15);
  world.faults.unavailable();
  expect((await settled(world, unknown)).outcome).toBe('commit.unknown');
  expect((await on(next, 'get')).outcome).toBe('store.unavailable');
  await world.clock.advance(60_000);
  world.faults.heal();
  const { value } = await on(next, 'get');
  await world.clock.advance(20_000);
  expect((await on(next, 'get')).value).toBe((value as number) + 2);
});
