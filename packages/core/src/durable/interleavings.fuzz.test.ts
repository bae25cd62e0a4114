import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { seededRandom } from '../base/random.ts';
import type { CarriedActor } from '../contract/calls.ts';
import type { ActorFixture, Asked } from '../testkit/actor-fixture.ts';
import { DurableWorld } from '../testkit/durable-fixture.ts';
import type { AppendFault } from '../testkit/faults/commit-faults.ts';

const methods = {
  add: { input: z.int(), output: z.int() },
  slowAdd: { input: z.int(), output: z.int() },
  ids: { output: z.array(z.int()), readonly: true },
} as const;

/** Keeps the ids that it was given; once as its state, once as its history. */
const kept = defineActor('kept', methods).host({
  state: () => ({ ids: [] as number[] }),
  persist: 'state',
  add: (ctx, id) => ctx.state.ids.push(id),
  async slowAdd(ctx, id) {
    ctx.state.ids.push(id);
    await Promise.resolve();
    return ctx.state.ids.length;
  },
  ids: (ctx) => ctx.state.ids,
});

const told = defineActor('told', methods).aggregate({
  initial: () => ({ ids: [] as readonly number[] }),
  events: { Added: z.int() },
  evolve: { Added: ({ ids }, id) => ({ ids: [...ids, id] }) },
  commands: {
    add(ctx, id) {
      ctx.raise('Added', id);
      return ctx.state.ids.length;
    },
    async slowAdd(ctx, id) {
      await Promise.resolve();
      ctx.raise('Added', id);
      return ctx.state.ids.length;
    },
  },
  queries: { ids: (ctx) => [...ctx.state.ids] },
  snapshotEvery: 3,
});

const faults: readonly AppendFault[] = [
  'full',
  'unavailable',
  'lost',
  'stored_unknown',
  'late',
  'conflict',
  'stored_conflict',
  'stored_late_answer',
];

interface Attempt {
  readonly id: number;
  readonly asked: Asked;
}

class Run {
  readonly #world: DurableWorld;
  readonly #random: () => number;
  readonly #type: string;
  readonly #nodes: ActorFixture[];
  readonly attempts: Attempt[] = [];
  #epoch = 100;
  #lastId = 0;
  readonly #closing: Promise<unknown>[] = [];

  constructor(world: DurableWorld, seed: number, type: string) {
    const random = seededRandom(seed);
    this.#world = world;
    this.#random = () => random.next();
    this.#type = type;
    this.#nodes = [world.node([kept, told]), world.node([kept, told])];
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  get #node(): ActorFixture {
    return this.#nodes[this.#below(2)] as ActorFixture;
  }

  async step(): Promise<void> {
    const { clock, faults: store } = this.#world;
    switch (this.#below(12)) {
      case 0:
        return store.nextAppends(faults[this.#below(faults.length)] as AppendFault);
      case 1:
        return store.slow(this.#below(40));
      case 2:
        return this.#random() < 0.5 ? store.heal() : store.releaseLate();
      case 3:
        return this.#random() < 0.3 ? (this.#random() < 0.5 ? store.unavailable() : store.full()) : store.heal();
      case 4:
        this.#epoch += 1;
        return this.#node.host.openShard(0, this.#epoch, []);
      case 5:
        return this.#move();
      case 6:
      case 7:
        return clock.advance(this.#below(60));
      default:
        return this.#ask();
    }
  }

  /** Closes the shard, and opens it again at the same node under the same epoch, or at the other one under the next. */
  #move(): void {
    const node = this.#node;
    const isKept = this.#random() < 0.5;
    const to = isKept ? node : this.#node;
    this.#epoch += 1;
    const epoch = this.#epoch;
    node.host.openShard(0, epoch, []);
    this.#ask(node);
    const closed = node.host.closeShard(0, { drainMs: this.#below(30), successor: undefined });
    const opened = closed.then((carried: readonly CarriedActor[]) => {
      if (!isKept) this.#epoch += 1;
      to.host.openShard(0, isKept ? epoch : this.#epoch, carried);
    });
    this.#closing.push(opened);
  }

  #ask(node: ActorFixture = this.#node): void {
    const isRepeat = this.attempts.length > 0 && this.#random() < 0.4;
    const id = isRepeat ? (this.attempts[this.#below(this.attempts.length)] as Attempt).id : (this.#lastId += 1);
    const method = id % 2 === 0 ? 'add' : 'slowAdd';
    const deadline = this.#world.clock.now() + 20 + this.#below(3_000);
    this.attempts.push({ id, asked: node.ask(this.#type, 'a', method, id, { idempotencyKey: `k${id}`, deadline }) });
    if (this.#random() < 0.3) node.ask(this.#type, 'a', 'ids');
  }

  /** What is stored when all has come to rest. */
  async ids(): Promise<readonly number[]> {
    const { clock, faults: store } = this.#world;
    store.heal();
    for (let i = 0; i < 5; i += 1) {
      store.releaseLate();
      await clock.advance(20_000);
    }
    await clock.run(Promise.all(this.#closing));
    this.#epoch += 1;
    const last = this.#world.node([kept, told], { epoch: this.#epoch });
    const asked = last.ask(this.#type, 'a', 'ids', undefined, { deadline: Infinity });
    await clock.advance(1_000);
    return asked.value as readonly number[];
  }
}

test.each(['kept', 'told'])(
  'whatever faults, moves and second owners come together: what was answered is stored once, and what was refused is not (%s)',
  async (type) => {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const world = await DurableWorld.start();
      const run = new Run(world, seed, type);
      for (let step = 0; step < 80; step += 1) await run.step();
      const ids = await run.ids();
      for (const id of new Set(run.attempts.map((attempt) => attempt.id))) {
        const attempts = run.attempts.filter((attempt) => attempt.id === id).map(({ asked }) => asked);
        const times = ids.filter((stored) => stored === id).length;
        const heard = attempts.map(({ outcome, error }) => `${outcome} ${error?.executed ?? ''}`).join(', ');
        for (const { outcome } of attempts) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        const where = `seed ${seed}, id ${id}: stored ${times} times; heard ${heard}`;
        expect(heard, where).not.toContain('waiting');
        expect(times, where).toBeLessThanOrEqual(1);
        // The reply is that of the stored execution: how many there were with it.
        for (const { outcome, value } of attempts) if (outcome === 'ok') expect([times, value], where).toEqual([1, ids.indexOf(id) + 1]);
        if (attempts.every(({ error }) => error?.executed === 'no')) expect(times, where).toBe(0);
      }
      if (type === 'told') expect(await world.verify({ type, key: 'a' }), `seed ${seed}`).toEqual([]);
    }
    for (const outcome of ['ok', 'store.full', 'store.unavailable', 'shard.moved', 'turn.abandoned'])
      expect(outcomes.get(outcome), outcome).toBeGreaterThan(0);
  },
);
