import assert from 'node:assert/strict';
import type { CommitLog } from '../../contract/commit-log.ts';
import { append, appended, readAll, stream, text, texts } from './store-world.ts';
import type { StoreWorld } from './store-world.ts';
import type { SuiteCases } from './suite.ts';

/** Appends the number after the last one, as often as it takes; gives the number. */
async function appendNext(log: CommitLog, writer: number): Promise<number> {
  for (let attempt = 0; attempt < 2_000; attempt += 1) {
    const head = (await readAll(log, { stream: stream('contended') })).at(-1);
    const next = Number((text(head) ?? '0').split(' ')[0]) + 1;
    const outcome = await append(log, stream('contended'), head?.sequence ?? 0, `${next} by ${writer}`);
    if (outcome.kind === 'appended') return next;
    assert.equal(outcome.kind, 'conflict');
  }
  return assert.fail('2,000 appends in a row met a conflict');
}

async function contend(logs: readonly CommitLog[], writers: number, rounds: number): Promise<readonly number[]> {
  const told: number[] = [];
  const write = async (writer: number): Promise<void> => {
    const log = logs[writer % logs.length] as CommitLog;
    for (let round = 0; round < rounds; round += 1) told.push(await appendNext(log, writer));
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  return told.toSorted((a, b) => a - b);
}

const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i + 1);
const numbersOf = (found: readonly string[]): readonly number[] => found.map((body) => Number(body.split(' ')[0]));

export const storeConcurrencyCases: SuiteCases<StoreWorld> = {
  async 'of 50 appends with one expectation at once, one is applied'({ store: { events } }) {
    let sequence = 0;
    for (let round = 0; round < 10; round += 1) {
      const outcomes = await Promise.all(Array.from({ length: 50 }, (_, i) => append(events, stream('a'), sequence, `${round}/${i}`)));
      const winners = outcomes.flatMap((outcome, i) => (outcome.kind === 'appended' ? [{ i, sequence: outcome.sequence }] : []));
      assert.equal(winners.length, 1, `round ${round}`);
      assert.ok(outcomes.every(({ kind }) => kind === 'appended' || kind === 'conflict'));
      sequence = winners[0]?.sequence ?? 0;
      const records = await readAll(events, { stream: stream('a') });
      assert.equal(records.length, round + 1);
      assert.equal(text(records.at(-1)), `${round}/${winners[0]?.i}`);
    }
  },

  async '10 writers with 50 rounds each on one stream leave versions without a gap or a double'({ store: { events } }) {
    assert.deepEqual(await contend([events], 10, 50), upTo(500));
    assert.deepEqual(numbersOf(texts(await readAll(events, { stream: stream('contended') }))), upTo(500));
  },

  async '10 writers on two nodes with 50 rounds each leave versions without a gap or a double'(world) {
    const other = await world.another();
    assert.deepEqual(await contend([world.store.events, other.events], 10, 50), upTo(500));
    for (const { events } of [world.store, other]) {
      assert.deepEqual(numbersOf(texts(await readAll(events, { stream: stream('contended') }))), upTo(500));
    }
  },

  async 'what one node was told is what another one meets'(world) {
    const { events } = world.store;
    const other = (await world.another()).events;
    let sequence = 0;
    for (let i = 0; i < 20; i += 1) {
      const before = sequence;
      sequence = await appended(i % 2 === 0 ? events : other, stream('a'), sequence, `${i}`);
      const [mine, theirs] = await Promise.all([append(events, stream('a'), before, 'no'), append(other, stream('a'), before, 'no')]);
      assert.deepEqual([mine.kind, theirs.kind], ['conflict', 'conflict']);
      for (const log of [events, other]) assert.equal((await readAll(log, { stream: stream('a') })).at(-1)?.sequence, sequence);
    }
  },
};
