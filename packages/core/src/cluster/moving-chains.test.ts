import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { seededRandom } from '../base/random.ts';
import { TestCluster } from '../testkit/test-cluster.ts';

const Link = defineActor('link', { pull: { input: z.object({ depth: z.int() }), output: z.string() }, push: {} });
const count = 40;

/** Chains of calls, always to keys that come later, so that no two actors wait for each other: whatever waits for long waits for a move. */
async function chains(seed: number) {
  const random = seededRandom(seed * 31 + 7);
  const seen = { pushed: 0, pushes: 0 };
  const pause = (ms: number): Promise<void> => new Promise((resolve) => cluster.clock.setTimer(ms, resolve));
  const link = Link.host({
    state: () => ({}),
    async pull(ctx, { depth }) {
      if (random.next() < 0.5) await pause(random.next() * 6);
      const left = count - 1 - Number(ctx.key);
      const next = (): string => String(Number(ctx.key) + 1 + Math.floor(random.next() * left));
      const rounds = depth > 0 && left > 0 ? 2 : 0;
      for (let i = 0; i < rounds; i += 1) {
        const key = next();
        seen.pushed += 1;
        ctx.notify(Link, key).push();
        await Promise.all([key, next()].map((to) => ctx.actor(Link, to).pull({ depth: depth - 1 })));
      }
      return ctx.nodeId;
    },
    push: () => void (seen.pushes += 1),
  });
  const cluster = await TestCluster.start({ actors: [link], nodes: 3, settings: { shards: 16 }, seed });
  const pull = (): Promise<unknown> =>
    cluster.client
      .actor(Link, String(Math.floor(random.next() * 20)))
      .pull({ depth: 2 }, { timeoutMs: 60_000 })
      .catch((error: unknown) => error);
  return { cluster, random, seen, pull };
}

test.each(Array.from({ length: 8 }, (_, seed) => seed))(
  'calls that go by way of shards that stay, %#: no turn is given up',
  async (seed) => {
    const { cluster, random, seen, pull } = await chains(seed);
    const pulls: Promise<unknown>[] = [];
    for (let i = 0; i < 25; i += 1) {
      pulls.push(pull());
      await cluster.advance(random.next() * 10);
    }
    await cluster.addNode();
    const left = [cluster.node('node-0').stop(), cluster.node('node-1').stop()];
    for (let i = 0; i < 15; i += 1) {
      pulls.push(pull());
      await cluster.advance(random.next() * 40);
    }
    const answers = await cluster.run(Promise.all(pulls));
    expect(answers.filter((answer) => typeof answer !== 'string')).toEqual([]);
    await cluster.run(Promise.all(left));
    await cluster.advance(1_000);
    expect(seen.pushes).toBe(seen.pushed);
    await cluster.stop();
  },
);
