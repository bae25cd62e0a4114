import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import type { CallOptions } from '../contract/calls.ts';
import { RouterFixture } from '../testkit/router-fixture.ts';
import { TestCluster } from '../testkit/test-cluster.ts';
import { requestPrefixBytes } from './envelope.ts';
import { frameHeaderBytes } from './frame.ts';

const Box = defineActor('box', {
  take: { input: z.unknown(), output: z.int() },
  text: { input: z.int(), output: z.string() },
  give: { input: z.string(), output: z.unknown() },
});

const gifts: Readonly<Record<string, () => unknown>> = {
  'a function': () => [() => 1],
  'too many nodes': () => new Array<number>(20_001).fill(0),
  'many small parts': () => new Array<number>(19_000).fill(0.5),
  'short texts': () => Array.from({ length: 15_000 }, () => '\u20ac'.repeat(20)),
};

const box = Box.host({
  state: () => ({}),
  take: (_ctx, input) => (typeof input === 'string' ? input.length : 0),
  text: (_ctx, units) => 'x'.repeat(units),
  give: (_ctx, what) => gifts[what]?.(),
});

/** One call each to an owner elsewhere and to this very node. */
async function bothTold(bytesMax: number, input: unknown, options?: CallOptions): Promise<readonly [string, string]> {
  const settings = { payloadBytesMax: bytesMax };
  const away = new RouterFixture({ settings });
  away.own('a', 7);
  const remote = away.call('k', input, options);
  const here = new RouterFixture({ settings, admit: () => {} });
  here.own('self', 7);
  const local = here.call('k', input, options);
  await away.clock.settle();
  await here.clock.settle();
  return [remote.told, local.told];
}

test('a request that is too large for an actor elsewhere is too large for one on the same node, to the byte', async () => {
  const told = new Set<string>();
  for (let units = 970; units < 1_030; units += 1) {
    const [remote, local] = await bothTold(1_024, 'x'.repeat(units));
    expect([units, local]).toEqual([units, remote]);
    told.add(local);
  }
  expect([...told]).toEqual(['waiting', 'payload.too_large no']);
});

test('whatever the request holds, both refuse the same', async () => {
  const texts = fc.string({ unit: 'binary', maxLength: 120, size: 'max' });
  const input = fc.oneof(
    fc.anything({ withBigInt: true, withDate: true, withTypedArray: true }),
    fc.array(texts, { maxLength: 8, size: 'max' }),
  );
  const options = fc.record(
    {
      headers: fc.dictionary(fc.string({ unit: 'grapheme-ascii', maxLength: 20 }), texts, { maxKeys: 4 }),
      chain: fc.array(texts, { maxLength: 4 }),
      idempotencyKey: fc.string({ minLength: 1, maxLength: 200 }),
      onBehalfOf: texts,
    },
    { requiredKeys: [] },
  );
  const told = new Set<string>();
  await fc.assert(
    fc.asyncProperty(input, options, async (value, given) => {
      const [remote, local] = await bothTold(1_024, value, given);
      expect(local).toBe(remote);
      told.add(local);
    }),
    { numRuns: 100 },
  );
  expect([...told].toSorted()).toEqual(['payload.not_plain no', 'payload.too_large no', 'waiting']);
});

test('the frame of the connection bounds requests to actors of the same node as well', async () => {
  const here = new RouterFixture({ settings: { payloadBytesMax: 1_000_000 }, admit: () => {} });
  here.own('self', 7);
  const room = here.link.frameBytesMax - frameHeaderBytes - requestPrefixBytes;
  const calls = [here.call('k', 'x'.repeat(room - 100)), here.call('k', 'x'.repeat(room))];
  here.router.notify('t', 'm', 'k', 'x'.repeat(room - 100));
  expect(() => here.router.notify('t', 'm', 'k', 'x'.repeat(room))).toThrow(
    expect.objectContaining({ code: 'payload.too_large' }) as Error,
  );
  await here.clock.settle();
  expect(calls.map(({ told }) => told)).toEqual(['waiting', 'payload.too_large no']);
});

test('a reply is refused alike, wherever its caller is', async () => {
  const cluster = await TestCluster.start({ actors: [box], nodes: 1 });
  const told = (call: Promise<unknown>): Promise<unknown> =>
    cluster.clock.run(
      call.then(
        () => 'ok',
        ({ code, executed, message, details }: Record<string, unknown>) => ({ code, executed, message, details }),
      ),
    );
  const outcomes = new Set<unknown>();
  for (let units = 1_048_540; units < 1_048_580; units += 1) {
    const local = await told(cluster.node('node-0').actor(Box, 'k').text(units));
    expect([units, local]).toEqual([units, await told(cluster.client.actor(Box, 'k').text(units))]);
    outcomes.add(local === 'ok' ? local : (local as { code: string }).code);
  }
  expect([...outcomes]).toEqual(['ok', 'reply.too_large']);
  for (const what of Object.keys(gifts)) {
    const local = await told(cluster.node('node-0').actor(Box, 'k').give(what));
    expect([what, local]).toEqual([what, await told(cluster.client.actor(Box, 'k').give(what))]);
  }
  await cluster.stop();
});
