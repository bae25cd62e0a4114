import { expect, test } from 'vitest';
import { z } from 'zod';
import { type ActorDefinition, defineActor } from '../../actor/definition.ts';
import { DurableWorld } from '../../testkit/durable-fixture.ts';

const methods = { send: { input: z.int() }, look: { output: z.int(), readonly: true } } as const;

/** Actors that send numbers by their outbox; their turns end when `end` is called. As their history and as their state. */
function slowActors(): { readonly actors: readonly ActorDefinition[]; end(): void } {
  const ends: (() => void)[] = [];
  const untilEnd = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
  const events = defineActor('events', methods).aggregate({
    initial: () => ({ sent: 0 }),
    events: { Sent: z.int() },
    evolve: { Sent: ({ sent }) => ({ sent: sent + 1 }) },
    commands: {
      async send(ctx, n) {
        ctx.raise('Sent', n);
        ctx.outbox.publish('numbers.sent', n);
        await untilEnd();
      },
    },
    queries: { look: ({ state }) => state.sent },
  });
  const state = defineActor('state', methods).host({
    state: () => ({ sent: 0 }),
    persist: 'state',
    async send(ctx, n) {
      ctx.state.sent += 1;
      ctx.outbox.publish('numbers.sent', n);
      await untilEnd();
    },
    look: ({ state: { sent } }) => sent,
  });
  return {
    actors: [events, state],
    end: () => {
      for (const end of ends.splice(0)) end();
    },
  };
}

const kinds = ['events', 'state'] as const;

class World {
  readonly world: DurableWorld;
  readonly #type: string;
  readonly #slow = slowActors();
  readonly node;

  constructor(world: DurableWorld, type: string) {
    this.world = world;
    this.#type = type;
    this.node = world.node(this.#slow.actors, { durable: { wakeKeepMs: 1_000 } });
  }

  ask(method: 'send' | 'look', input?: unknown): ReturnType<typeof this.node.ask> {
    return this.node.ask(this.#type, 'a', method, input);
  }

  release(): void {
    this.#slow.end();
  }

  async end(): Promise<void> {
    this.release();
    await this.world.clock.advance(60_000);
  }

  /** What the actor answers, and what its next owner does, who has read what is stored; then how much was published, and the wake records. */
  async result(): Promise<{ answered: unknown; stored: unknown; published: number; wakes: unknown }> {
    const asked = this.ask('look');
    await this.world.clock.advance(60_000);
    const published = this.world.published.length;
    const wakes = await this.world.wakes();
    const next = this.world.node(this.#slow.actors).ask(this.#type, 'a', 'look');
    await this.world.clock.advance(200);
    return { answered: asked.value, stored: next.value, published, wakes };
  }
}

test.each(kinds)(
  'a turn that was given up with its shard stores nothing behind the back of the activation that came after it (%s)',
  async (type) => {
    const of = new World(await DurableWorld.start(), type);
    const { world, node } = of;
    of.ask('send', 1);
    await world.clock.advance(100);
    await of.end();
    expect(world.published).toHaveLength(1);
    const given = of.ask('send', 2);
    await world.clock.advance(100);
    await world.reopen(node, 7, 100);
    expect([given.outcome, given.error?.executed]).toEqual(['turn.abandoned', 'unknown']);
    of.ask('look');
    await world.clock.advance(200);
    await of.end();
    expect(await of.result()).toEqual({ answered: 1, stored: 1, published: 1, wakes: [] });
  },
);

test.each(kinds)('what such a turn had sent before it was given up counts whole or not at all (%s)', async (type) => {
  const counts = new Set<unknown>();
  for (const fault of ['stored_unknown', 'late', 'lost'] as const) {
    for (const waitMs of [10, 100, 200, 280]) {
      const of = new World(await DurableWorld.start(), type);
      const { world, node } = of;
      of.ask('send', 1);
      await world.clock.advance(100);
      await of.end();
      of.ask('send', 2);
      await world.clock.advance(100);
      world.faults.nextAppends(fault);
      world.faults.slow(150);
      of.release();
      await world.clock.advance(waitMs);
      await world.reopen(node, 7, 1);
      of.ask('look');
      await world.clock.advance(500);
      world.faults.heal();
      world.faults.releaseLate();
      await world.clock.advance(60_000);
      const result = await of.result();
      counts.add(result.stored);
      expect(result, `${fault} ${waitMs}`).toEqual({ answered: result.stored, stored: result.stored, published: result.stored, wakes: [] });
    }
  }
  expect(counts).toEqual(new Set([1, 2]));
});
