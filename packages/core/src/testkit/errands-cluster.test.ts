import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import type { Publication } from '../contract/transport.ts';
import { memory, memoryHub } from '../memory/memory-hub.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { errand, inbox } from './errands.ts';
import { TestCluster } from './test-cluster.ts';

const Errand = defineActor('errand', {
  send: { input: z.object({ from: z.int(), count: z.int(), to: z.string() }) },
  remind: { input: z.object({ everyMs: z.number() }) },
  rung: { output: z.array(z.number()), readonly: true },
});
const Inbox = defineActor('inbox', { taken: { output: z.array(z.int()), readonly: true } });

const actors = [errand, inbox];
const settings = { shards: 8 };
const keys = Array.from({ length: 12 }, (_, index) => `key-${index}`);

/** The numbers that were published for each key, without repeats, in the order in which they came first. */
function byActor(published: readonly Publication[]): readonly (readonly number[])[] {
  const first = new Map<string, Map<string, number>>();
  for (const { id, data } of published) {
    const [actor = ''] = id.split(/-\d+$/);
    const ofActor = first.get(actor) ?? new Map<string, number>();
    first.set(actor, ofActor);
    if (!ofActor.has(id)) ofActor.set(id, Number(new TextDecoder().decode(data)));
  }
  return [...first.values()].map((numbers) => [...numbers.values()]);
}

test('messages outlive a planned move, a kill and a restart of all: none lost, each in its order, to actors each once', async () => {
  const store = memoryStore();
  const hub = memoryHub();
  const published: Publication[] = [];
  hub.cluster('test').onPublished((publication) => published.push(publication));
  const cluster = await TestCluster.start({ actors, store, settings, nodes: 3, inner: memory(hub) });
  const send = (from: number, to: string): Promise<unknown> =>
    cluster.run(Promise.all(keys.map((key) => cluster.client.actor(Errand, key).send({ from, count: 30, to }))));
  await send(0, 'subject');
  await send(0, 'inbox');
  await cluster.stopNode('node-0');
  await send(30, 'subject');
  await send(30, 'inbox');
  cluster.killNode('node-1');
  await cluster.advance(60_000);
  await send(60, 'subject');
  await cluster.stop();
  const again = await TestCluster.start({ actors, store, settings, nodes: 2, clock: cluster.clock.fork(), inner: memory(hub) });
  await again.advance(60_000);
  const want = Array.from({ length: 90 }, (_, index) => index);
  expect(byActor(published)).toEqual(keys.map(() => want));
  const taken = await again.run(Promise.all(keys.map((key) => again.client.actor(Inbox, key).taken())));
  expect(taken).toEqual(keys.map(() => want.slice(0, 60)));
  expect(await again.run(again.node('node-0').deadMessages())).toEqual([]);
  await again.stop();
}, 60_000);

test('reminders ring on, whichever node there is, each due time once', async () => {
  const store = memoryStore();
  const cluster = await TestCluster.start({ actors, store, settings, nodes: 2 });
  await cluster.run(Promise.all(keys.map((key) => cluster.client.actor(Errand, key).remind({ everyMs: 10_000 }))));
  await cluster.advance(15_000);
  cluster.killNode('node-0');
  await cluster.advance(60_000);
  await cluster.stop();
  const again = await TestCluster.start({ actors, store, settings, nodes: 1, clock: cluster.clock.fork() });
  await again.advance(30_000);
  const rung = await again.run(Promise.all(keys.map((key) => again.client.actor(Errand, key).rung())));
  for (const times of rung) {
    const due = times.map((at) => Math.floor(at / 10_000));
    expect(new Set(due).size).toBe(due.length);
    expect(times.length).toBeGreaterThanOrEqual(7);
  }
  await again.stop();
}, 60_000);

test('messages are delivered also where the records of the cluster were lost and the wall clock is behind', async () => {
  const store = memoryStore();
  const hub = memoryHub();
  hub.cluster('test').onPublished(() => {
    throw new Error('nobody takes it');
  });
  const cluster = await TestCluster.start({ actors, store, settings, nodes: 1, inner: memory(hub) });
  await cluster.run(Promise.all(keys.map((key) => cluster.client.actor(Errand, key).send({ from: 0, count: 3, to: 'subject' }))));
  cluster.killNode('node-0');
  await cluster.advance(10_000);
  await cluster.stop();
  const published: Publication[] = [];
  const other = memoryHub();
  other.cluster('test').onPublished((publication) => published.push(publication));
  const clock = cluster.clock.fork({ wallMs: cluster.clock.wall() - 3_600_000 });
  const again = await TestCluster.start({ actors, store, settings, nodes: 1, clock, inner: memory(other) });
  await again.advance(60_000);
  expect(byActor(published)).toEqual(keys.map(() => [0, 1, 2]));
  await again.stop();
}, 60_000);
