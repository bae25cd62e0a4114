import { expect, test } from 'vitest';
import { type Logger, silentLogger } from '../base/log.ts';
import { seededRandom } from '../base/random.ts';
import { ScriptedRecordStore } from '../testkit/scripted-record-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { join, type JoinOptions } from './join.ts';
import type { Lease } from './lease.ts';
import { generationOf, type MemberRecord, parseMember } from './records.ts';

const key = 'member.a';
const ignore = (): void => {};

function joining(options: Partial<JoinOptions> = {}) {
  const clock = new VirtualClock();
  const store = new ScriptedRecordStore(clock);
  const stopping = new AbortController();
  const said: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_fields, message) => said.push(message) };
  const start = (seed = 1): Promise<Lease<MemberRecord>> =>
    join({
      ...{ store, clock, log, random: seededRandom(seed), times: { leaseMs: 2_000, heartbeatMs: 500 }, marginMs: 500 },
      ...{ onDuplicateId: 'wait', signal: stopping.signal, events: { onHeld: ignore, onLapsed: ignore, onLost: ignore } },
      describe: () => ({ nodeId: 'a', inbox: '', weight: 1, types: {}, state: 'joining', protocol: 1 }),
      ...options,
    });
  const stored = (): MemberRecord | undefined => parseMember(store.table.read(key)?.value ?? '');
  const write = (value: string): void => void store.table.write(key, value, store.table.read(key)?.revision ?? 0);
  const record = (change: Partial<MemberRecord> = {}): string =>
    JSON.stringify({
      ...{ nodeId: 'a', incarnation: '5-x', n: 1, inbox: '', weight: 1, types: {}, state: 'active', protocol: 1 },
      ...change,
    });
  return { clock, store, stopping, said, start, stored, write, record };
}

test('an id that nobody holds is taken at once, with a lease that counts from before the write', async () => {
  const { clock, store, start, stored } = joining();
  store.nextWrites({ beforeMs: 100, afterMs: 200 });
  const lease = await clock.run(start());
  expect(lease.remainingMs(clock.now())).toBe(1_700);
  expect(stored()).toMatchObject({ nodeId: 'a', incarnation: lease.body.incarnation, state: 'joining', leaseMs: 2_000 });
  lease.stop();
});

test('the generation rises with each start, also where the wall clock fell behind', async () => {
  const { clock, start, stored, write, record } = joining();
  const ahead = clock.wall() + 3_600_000;
  write(record({ incarnation: `${ahead.toString(36)}-x`, state: 'gone' }));
  const lease = await clock.run(start());
  expect(generationOf(stored()?.incarnation ?? '')).toBe(ahead + 1);
  lease.stop();
});

test.each(['applied-unavailable', 'applied-refused'] as const)('a write that ends %s is recognised at the next look', async (end) => {
  const { clock, store, start, said } = joining();
  const before = clock.now();
  store.nextWrites({ end, afterMs: 50 });
  const lease = await clock.run(start(), { limitMs: 500 });
  expect(lease.remainingMs(clock.now())).toBe(2_000 - (clock.now() - before));
  expect(said).toEqual([]);
  await clock.advance(5_000);
  expect(lease.mayAct(clock.now())).toBe(true);
  lease.stop();
});

test('a first write that is applied late is recognised too', async () => {
  const { clock, store, start } = joining();
  store.nextWrites({ end: 'unavailable' }, { end: 'unavailable' }, { end: 'unavailable' });
  const joined = start();
  await clock.advance(5);
  const written: string[] = [];
  const { write: plain } = store;
  store.write = (name, value, revision) => {
    written.push(value);
    return plain.call(store, name, value, revision);
  };
  await clock.advance(300);
  store.table.write(key, written[0] ?? '', 0);
  const lease = await clock.run(joined, { limitMs: 600 });
  expect(JSON.stringify(lease.body)).toBe(written[0]);
  lease.stop();
});

test('a live holder is never replaced, and it is said every 10 s', async () => {
  const { clock, store, start, said, stored, stopping } = joining();
  const first = await clock.run(start(1));
  const second = start(2);
  second.catch(ignore);
  await clock.advance(60_000);
  expect(stored()?.incarnation).toBe(first.body.incarnation);
  expect(said.length).toBeGreaterThanOrEqual(6);
  expect(said.length).toBeLessThanOrEqual(7);
  stopping.abort();
  await expect(clock.run(second)).rejects.toMatchObject({ code: 'node.stopped' });
  expect(store.table.records().map((record) => record.key)).toEqual([key]);
  first.stop();
});

test('a holder that renews no more is replaced, but not before its lease and the margin have passed', async () => {
  const { clock, start, stored } = joining();
  const first = await clock.run(start(1));
  first.stop();
  const before = clock.now();
  const second = await clock.run(start(2));
  expect(clock.now() - before).toBeGreaterThan(2_500);
  expect(clock.now() - before).toBeLessThan(4_000);
  expect(stored()?.incarnation).toBe(second.body.incarnation);
  expect(generationOf(second.body.incarnation)).toBeGreaterThan(generationOf(first.body.incarnation));
  second.stop();
});

test('a holder with a longer lease is given that long', async () => {
  const { clock, start, write, record } = joining();
  write(record({ leaseMs: 20_000 }));
  const before = clock.now();
  const lease = await clock.run(start());
  expect(clock.now() - before).toBeGreaterThan(20_500);
  lease.stop();
});

test('a record that this version cannot read is not stolen either', async () => {
  const { clock, start, write, stored } = joining();
  write('{"of":"a later version"}');
  const joined = start();
  await clock.advance(2_400);
  expect(stored()).toBeUndefined();
  write('{"of":"a later version, renewed"}');
  await clock.advance(2_400);
  expect(stored()).toBeUndefined();
  const lease = await clock.run(joined, { limitMs: 2_000 });
  expect(stored()?.incarnation).toBe(lease.body.incarnation);
  lease.stop();
});

test('time in which this process could not have renewed either does not count', async () => {
  const { clock, store, start, stored, write, record } = joining();
  write(record());
  store.always = { write: { end: 'unavailable' } };
  const joined = start();
  await clock.advance(60_000);
  expect(stored()?.incarnation).toBe('5-x');
  store.always = { write: {} };
  const from = clock.now();
  const lease = await clock.run(joined);
  expect(clock.now() - from).toBeGreaterThan(2_500);
  expect(store.table.records().map((one) => one.key)).toEqual([key]);
  lease.stop();
});

test('with onDuplicateId "exit" a node gives up once the holder is seen to live, and waits where it is not', async () => {
  const { clock, start, store } = joining({ onDuplicateId: 'exit' });
  const first = await clock.run(start(1));
  await expect(clock.run(start(2))).rejects.toMatchObject({ code: 'node.duplicate_id' });
  first.stop();
  const third = await clock.run(start(3));
  await clock.advance(100);
  expect(store.table.records().map((record) => record.key)).toEqual([key]);
  third.stop();
});

test('of two that wait for an id one gets it', async () => {
  const { clock, start, write, record, stored, stopping } = joining();
  write(record());
  const joined = [start(1), start(2)];
  const lease = await clock.run(Promise.race(joined));
  await clock.advance(20_000);
  expect(stored()?.incarnation).toBe(lease.body.incarnation);
  stopping.abort();
  await clock.run(Promise.allSettled(joined));
  lease.stop();
});

test('a node that is stopped while its write is under way says that it is gone', async () => {
  const { clock, store, start, stopping, stored } = joining();
  store.nextWrites({ beforeMs: 100, afterMs: 100 });
  const joined = start();
  await clock.advance(50);
  stopping.abort();
  await expect(clock.run(joined)).rejects.toMatchObject({ code: 'node.stopped' });
  expect(stored()?.state).toBe('gone');
  await clock.advance(10_000);
  expect(clock.pending).toBe(0);
});

test('a node that is stopped while the store is down does not hang', async () => {
  const { clock, store, start, stopping } = joining();
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  const joined = start();
  await clock.advance(5_000);
  stopping.abort();
  await expect(clock.run(joined, { limitMs: 1_500 })).rejects.toMatchObject({ code: 'node.stopped' });
});

test('an error that is not the store being unavailable is not waited out', async () => {
  const { clock, start } = joining({
    describe: () => {
      throw new TypeError('broken');
    },
  });
  await expect(clock.run(start())).rejects.toThrow('broken');
});
