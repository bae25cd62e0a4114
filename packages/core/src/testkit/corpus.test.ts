import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { systemClock } from '../base/clock.ts';
import { noMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { noHead } from '../events/commit.ts';
import { EventCatalogue } from '../events/event-catalogue.ts';
import { EventStore } from '../events/event-store.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { storeEnvironment } from './contract-suites/store-world.ts';
import { readCorpus, takeCorpus } from './corpus.ts';

async function storedEvents(): Promise<EventStore> {
  const open = await memoryStore().open(storeEnvironment());
  const store = new EventStore({ log: open.events, clock: systemClock, random: seededRandom(1), metrics: noMetrics, shards: 4 });
  const events = [
    ...Array.from({ length: 9 }, (_, i) => ({ name: 'Deposited', schema: 1, data: BigInt(i) })),
    { name: 'Deposited', schema: 2, data: { amount: 7n, at: new Date(5) } },
    { name: 'Closed', schema: 1, data: undefined },
  ];
  await store.append({ type: 'Account', key: 'a' }, noHead, { epoch: 1, owner: 'n' }, { id: 'x', at: 3, events });
  return store;
}

const deposited = { name: 'Deposited', version: 2, upcasters: [(data: unknown) => ({ amount: data, at: undefined })] };
const closed = { name: 'Closed', version: 1, upcasters: [] };

test('a corpus holds some examples of each event and version, and the code that knows them reads them', async () => {
  const corpus = await takeCorpus(await storedEvents(), { examplesMax: 2 });
  expect(corpus.trim().split('\n')).toHaveLength(4);
  const { events, problems } = readCorpus(corpus, [new EventCatalogue('Account', [deposited, closed])]);
  expect(problems).toEqual([]);
  expect(events.map(({ event, data }) => [event, data])).toEqual([
    ['Deposited', { amount: 0n, at: undefined }],
    ['Deposited', { amount: 1n, at: undefined }],
    ['Deposited', { amount: 7n, at: new Date(5) }],
    ['Closed', undefined],
  ]);
});

test('what the code does not read any more is named, with its line', async () => {
  const corpus = await takeCorpus(await storedEvents(), { examplesMax: 1 });
  const gone = readCorpus(corpus, [new EventCatalogue('Account', [{ ...deposited, version: 1, upcasters: [] }])]);
  expect(gone.problems).toEqual([
    expect.stringMatching(/^line 2: The event "Deposited" in version 2 of Account/) as unknown,
    expect.stringMatching(/^line 3: The event "Closed" in version 1 of Account/) as unknown,
  ]);
  expect(readCorpus(corpus, []).problems).toHaveLength(3);
  const checked = readCorpus(`${corpus}not json\n`, [new EventCatalogue('Account', [deposited, closed])], ({ data }) => {
    if (data === undefined) throw new Error('it has no data');
  });
  expect(checked.problems).toEqual(['line 3: it has no data', expect.stringMatching(/^line 4: /) as unknown]);
});

test('an aggregate reads a corpus with its own upcasters; what is no aggregate is refused', async () => {
  const corpus = await takeCorpus(await storedEvents(), { examplesMax: 1 });
  const Account = defineActor('Account', { close: {} });
  const account = Account.aggregate({
    initial: () => 0n,
    events: { Deposited: { version: 2, schema: z.object({ amount: z.bigint() }) }, Closed: z.undefined() },
    upcasters: { Deposited: { 1: (amount) => ({ amount }) } },
    evolve: { Deposited: (sum, { amount }) => sum + amount, Closed: (sum) => sum },
    commands: { close: (ctx) => ctx.raise('Closed', undefined) },
  });
  const { events, problems } = readCorpus(corpus, [account]);
  expect([problems, events.map(({ data }) => data)]).toEqual([[], [{ amount: 0n }, { amount: 7n, at: new Date(5) }, undefined]]);
  const plain = defineActor('plain', { run: {} }).host({ state: () => 0, run() {} });
  expect(() => readCorpus(corpus, [plain])).toThrow('actor plain is no aggregate');
});
