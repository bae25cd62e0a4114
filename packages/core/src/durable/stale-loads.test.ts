import { expect, test } from 'vitest';
import { account, counter, settled } from '../testkit/accounts.ts';
import type { ActorFixture, Asked } from '../testkit/actor-fixture.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';

/** An actor that adds up, once as its history and once as its state. */
const kinds = [
  { kind: 'events', type: 'account', add: 'deposit', get: 'balance', of: (count: number) => ({ amount: BigInt(count) }) },
  { kind: 'states', type: 'counter', add: 'add', get: 'get', of: (count: number) => count },
] as const;

class Adder {
  readonly world: DurableWorld;
  readonly node: ActorFixture;
  readonly #kind: (typeof kinds)[number];

  constructor(world: DurableWorld, kind: (typeof kinds)[number]) {
    this.world = world;
    this.node = world.node([account, counter]);
    this.#kind = kind;
  }

  ask(count: number, deadline?: number): Asked {
    const { type, add, of } = this.#kind;
    return this.node.ask(type, 'a', add, of(count), deadline === undefined ? {} : { deadline });
  }

  async add(count: number): Promise<number> {
    const asked = await settled(this.world, this.ask(count));
    expect(asked.outcome).toBe('ok');
    return Number(asked.value);
  }

  /** What it answers, or why not. */
  async get(): Promise<number | string> {
    const { type, get } = this.#kind;
    const asked = await settled(this.world, this.node.ask(type, 'a', get, undefined, { deadline: Infinity }));
    return asked.outcome === 'ok' ? Number(asked.value) : asked.outcome;
  }

  /** The way of a handoff that comes to nothing: the actors leave memory, and come back under the same epoch. */
  async reopen(): Promise<void> {
    const { host } = this.node;
    const carried = await this.world.clock.run(host.closeShard(0, { drainMs: 10, successor: undefined }));
    host.openShard(0, 7, carried);
  }

  /** An append that is stored, and of which nobody could be asked in time. */
  async addInDoubt(count: number): Promise<void> {
    const { faults, clock } = this.world;
    faults.nextAppends('stored_unknown');
    faults.slow(20);
    const asked = this.ask(count, Infinity);
    await clock.advance(15);
    faults.unavailable();
    await settled(this.world, asked);
    expect(asked.outcome).toBe('commit.unknown');
    faults.heal();
  }

  /** The next reads come from a leader that was deposed when only the first record was there. */
  depose(): void {
    this.world.faults.staleReads(1);
  }
}

test.each(kinds)('what was answered on the word of a read is not unsaid by a later read that shows less ($kind)', async (kind) => {
  const adder = new Adder(await DurableWorld.start(), kind);
  await adder.add(1);
  adder.world.faults.nextAppends(kind.kind === 'events' ? 'stored_unknown' : 'stored_conflict');
  expect(await adder.add(5)).toBe(6);
  await adder.reopen();
  adder.depose();
  expect(await adder.get()).toBe('store.unavailable');
  adder.world.faults.heal();
  expect(await adder.get()).toBe(6);
});

test.each(kinds)('an actor is not loaded from less than what its own last append was based on ($kind)', async (kind) => {
  const adder = new Adder(await DurableWorld.start(), kind);
  await adder.add(1);
  adder.world.faults.nextAppends('stored_unknown');
  expect(await adder.add(5)).toBe(6);
  await adder.addInDoubt(10);
  adder.depose();
  expect(await adder.get()).toBe('store.unavailable');
  adder.world.faults.heal();
  expect(await adder.get()).toBe(16);
});

test.each(kinds)('what a load has shown is not unsaid by a later one ($kind)', async (kind) => {
  const adder = new Adder(await DurableWorld.start(), kind);
  await adder.add(1);
  await adder.addInDoubt(5);
  expect(await adder.get()).toBe(6);
  await adder.reopen();
  adder.depose();
  expect(await adder.get()).toBe('store.unavailable');
  adder.world.faults.heal();
  expect(await adder.get()).toBe(6);
  expect(await adder.add(4)).toBe(10);
});
