import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { ScriptedRecordStore } from '../testkit/scripted-record-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { Lease, type LeaseOptions } from './lease.ts';
import { type MemberRecord, parseMember } from './records.ts';

const key = 'member.a';
const times = { leaseMs: 2_000, heartbeatMs: 500 };
const ignore = (): void => {};

const record = (change: Partial<MemberRecord> = {}): MemberRecord => ({
  ...{ nodeId: 'a', incarnation: '5-a', n: 1, inbox: '', weight: 1, types: {}, state: 'active', protocol: 1 },
  ...change,
});

/** A lease that was just taken. The clock of the store runs apart from the holder's, which may be frozen or suspended. */
function held(events: Partial<LeaseOptions<MemberRecord>> = {}) {
  const wires = new VirtualClock();
  const clock = wires.fork();
  const store = new ScriptedRecordStore(wires);
  const outcome = store.table.write(key, JSON.stringify(record()), 0);
  if (!outcome.applied) throw new Error('the table was not empty');
  const told: string[] = [];
  const lease = new Lease<MemberRecord>(
    {
      ...{ store, key, body: record(), times, clock, log: silentLogger, parse: parseMember },
      onHeld: () => told.push('held'),
      onLapsed: () => told.push('lapsed'),
      onLost: () => told.push('lost'),
      ...events,
    },
    { revision: outcome.revision, n: 1, sentAt: { now: clock.now(), wall: clock.wall() } },
  );
  const mayAct = (): boolean => lease.mayAct(clock.now());
  const stored = (): MemberRecord | undefined => parseMember(store.table.read(key)?.value ?? '');
  return { wires, clock, store, lease, told, mayAct, stored };
}

test('the deadline counts from the moment before the proven renewal was sent', async () => {
  const { wires, store, lease, clock, mayAct } = held();
  store.nextWrites({ beforeMs: 400, afterMs: 400 });
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  await wires.advance(1_400);
  expect(lease.remainingMs(clock.now())).toBe(1_100);
  await wires.advance(1_099);
  expect(mayAct()).toBe(true);
  await wires.advance(1);
  expect(mayAct()).toBe(false);
  lease.stop();
});

test('a renewal without an answer extends nothing until it is found in the store, and then from its own sending', async () => {
  const { wires, store, lease, clock, told } = held();
  store.nextWrites({ end: 'applied-unavailable', afterMs: 300 });
  await wires.advance(799);
  expect(lease.remainingMs(clock.now())).toBe(1_201);
  store.always = { write: { end: 'unavailable' } };
  await wires.advance(150);
  expect(lease.remainingMs(clock.now())).toBe(2_500 - 949);
  expect(told).toEqual(['held']);
  lease.stop();
});

test('a machine that was suspended between a renewal and its answer may not act on that answer (F12)', async () => {
  const { wires, store, lease, clock, mayAct } = held();
  store.nextWrites({ afterMs: 60_000 });
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  await wires.advance(501);
  clock.rate = 0;
  await wires.advance(59_999 - 501);
  clock.rate = 1;
  await wires.advance(1_001);
  expect(lease.remainingMs(clock.now())).toBeGreaterThan(0);
  expect(mayAct()).toBe(false);
  lease.stop();
});

test('a holder that was asked just before a suspension says no in the moment of the wake (F12)', async () => {
  const { wires, lease, clock, mayAct } = held();
  await wires.advance(100);
  expect(mayAct()).toBe(true);
  clock.rate = 0;
  await wires.advance(3_000);
  expect(mayAct()).toBe(false);
  lease.stop();
});

test('a suspension too short to void the lease shortens it', async () => {
  const { wires, store, lease, clock, mayAct } = held();
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  clock.rate = 0;
  await wires.advance(900);
  clock.rate = 1;
  await wires.advance(1_099);
  expect(mayAct()).toBe(true);
  await wires.advance(1);
  expect(mayAct()).toBe(false);
  lease.stop();
});

test.each([3_600_000, -3_600_000])(
  'a wall clock that jumps by %d ms pauses the holder until the next renewal, and it is told',
  async (ms) => {
    const { wires, lease, clock, told, mayAct } = held();
    await wires.advance(600);
    clock.jumpWall(ms);
    expect(mayAct()).toBe(false);
    await wires.advance(510);
    expect(mayAct()).toBe(true);
    expect(told.at(-1)).toBe('held');
    lease.stop();
  },
);

test('who was told no is told when the lease holds again, also when the lapse was too short to be noticed by a beat', async () => {
  const { wires, store, told, mayAct, lease } = held();
  store.nextWrites({ afterMs: 30 }, { afterMs: 1_490 });
  await wires.advance(2_510);
  expect(mayAct()).toBe(false);
  expect(told).toEqual(['held']);
  await wires.advance(100);
  expect(mayAct()).toBe(true);
  expect(told.filter((event) => event === 'held')).toHaveLength(2);
  lease.stop();
});

test('the time without a gap starts anew after a lapse', async () => {
  const { wires, store, lease, clock } = held();
  const start = clock.now();
  await wires.advance(1_700);
  expect(lease.heldSince(clock.now())).toBe(start);
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  await wires.advance(3_000);
  expect(lease.heldSince(clock.now())).toBeUndefined();
  store.always = { write: {} };
  await wires.advance(200);
  expect(lease.heldSince(clock.now())).toBeGreaterThan(start + 4_700);
  lease.stop();
});

test('a record of another incarnation, or one that says gone, ends the lease once', async () => {
  for (const change of [{ incarnation: '6-b' }, { state: 'gone' as const }]) {
    const { wires, store, lease, told, mayAct } = held();
    store.table.write(key, JSON.stringify(record(change)), 1);
    const update = lease.update({ state: 'draining' });
    await wires.run(update);
    expect(mayAct()).toBe(false);
    await wires.advance(5_000);
    expect(told).toEqual(['held', 'lost']);
    expect(parseMember(store.table.read(key)?.value ?? '')).toEqual(record(change));
  }
});

test.each([
  ['nothing', undefined],
  ['the former incarnation', { key, value: JSON.stringify(record({ incarnation: '4-z', state: 'gone' })), revision: 0.5 }],
])('a stale read that sees %s ends nothing (H3)', async (_what, sees) => {
  const { wires, store, lease, told, mayAct } = held();
  store.nextWrites({ end: 'applied-refused' });
  store.nextReads({ sees }, { sees });
  await wires.advance(1_500);
  expect(told).toEqual(['held']);
  expect(mayAct()).toBe(true);
  lease.stop();
});

test.each([{ endsAfterMs: 15_000 }, { endsAfterMs: 60_000 }])('reads that stay stale for %o', async ({ endsAfterMs }) => {
  const { wires, store, told, mayAct } = held();
  const backup = store.table.records();
  store.table.restore([]);
  await wires.advance(endsAfterMs);
  store.table.restore(backup);
  await wires.advance(1_000);
  const isSetBack = endsAfterMs > 22_000;
  expect(told).toEqual(isSetBack ? ['held', 'lapsed', 'lost'] : ['held', 'lapsed', 'held']);
  expect(mayAct()).toBe(!isSetBack);
});

test.each(['unavailable', 'refused'] as const)('reads that are answered beside writes that end %s make no hot loop', async (end) => {
  const { wires, store, lease, mayAct } = held();
  store.always = { write: { end } };
  await wires.advance(60_000);
  expect(store.writesAsked).toBeLessThan(700);
  expect(mayAct()).toBe(false);
  store.always = { write: {} };
  await wires.advance(200);
  expect(mayAct()).toBe(true);
  lease.stop();
});

test('a renewal that was long in doubt and is applied late is recognised', async () => {
  const { wires, store, lease, told, mayAct } = held();
  store.nextWrites({ end: 'unavailable' });
  await wires.advance(550);
  // What the first attempt wrote arrives only now.
  store.table.write(key, JSON.stringify(record({ n: 2 })), 1);
  await wires.advance(10_000);
  expect(mayAct()).toBe(true);
  expect(told).toEqual(['held']);
  lease.stop();
});

test('who says that it is gone may not act from then on, even before the store has it', async () => {
  const { wires, store, lease, told, mayAct, stored } = held();
  store.nextWrites({ beforeMs: 100, afterMs: 100 });
  const said = lease.update({ state: 'gone' });
  expect(mayAct()).toBe(false);
  await wires.run(said);
  expect(stored()?.state).toBe('gone');
  const { writesAsked } = store;
  await wires.advance(5_000);
  expect(mayAct()).toBe(false);
  expect(store.writesAsked).toBe(writesAsked);
  expect(told).toEqual(['held']);
});

test('a goodbye whose answer was lost is found in the store and is no eviction', async () => {
  const { wires, store, lease, told, stored } = held();
  store.nextWrites({ end: 'applied-unavailable' });
  await wires.run(lease.update({ state: 'gone' }));
  expect(stored()?.state).toBe('gone');
  await wires.advance(5_000);
  expect(told).toEqual(['held']);
});

test('a goodbye that comes while a renewal is under way follows it', async () => {
  const { wires, store, lease, mayAct, stored } = held();
  store.nextWrites({ beforeMs: 50, afterMs: 50 });
  await wires.advance(520);
  const said = lease.update({ state: 'gone' });
  await wires.advance(90);
  expect(mayAct()).toBe(false);
  await wires.run(said);
  expect(stored()).toMatchObject({ state: 'gone' });
});

test('listeners that throw stop no renewal', async () => {
  const fail = (): never => {
    throw new Error('listener');
  };
  const { wires, store, lease, mayAct } = held({ onHeld: fail, onLapsed: fail });
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  await wires.advance(3_000);
  store.always = { write: {} };
  const updated = lease.update({ weight: 2 });
  await wires.run(updated, { limitMs: 500 });
  expect(mayAct()).toBe(true);
  lease.stop();
});

test('changes made one right after the other are each stored at once', async () => {
  const { wires, lease, stored } = held();
  const changes = async (): Promise<void> => {
    await lease.update({ weight: 2 });
    await Promise.resolve().then(ignore).then(ignore);
    await lease.update({ weight: 3 });
  };
  await wires.run(changes(), { limitMs: 10 });
  expect(stored()?.weight).toBe(3);
  lease.stop();
});

test('an update resolves when the lease is stopped, whatever is under way', async () => {
  for (const atMs of [0, 40, 60, 120]) {
    const { wires, store, lease, told } = held();
    store.always = { write: { end: 'unavailable', beforeMs: 50, afterMs: 50 }, read: 'unavailable' };
    const update = lease.update({ state: 'draining' });
    await wires.advance(atMs);
    lease.stop();
    await wires.run(update, { limitMs: 1 });
    await wires.advance(3_000);
    expect(told).toEqual(['held']);
    await wires.run(lease.update({ weight: 2 }), { limitMs: 1 });
  }
});

test('a process that was stopped for long finds itself evicted before it acts', async () => {
  const { wires, store, clock, told, mayAct } = held();
  await wires.advance(700);
  clock.freeze();
  const seen = store.table.read(key);
  await wires.advance(30_000);
  store.table.write(key, JSON.stringify(record({ state: 'gone', n: 2 })), seen?.revision ?? 0);
  clock.thaw();
  expect(mayAct()).toBe(false);
  await wires.advance(10);
  expect(told).toEqual(['held', 'lapsed', 'lost']);
});

test('when the store can be reached again the lease is renewed at once, and once', async () => {
  const { wires, store, lease, told, mayAct } = held();
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  await wires.advance(2_650);
  expect([mayAct(), told]).toEqual([false, ['held', 'lapsed']]);
  store.always = { write: {} };
  const before = store.table.read(key)?.revision ?? 0;
  lease.renewNow();
  await wires.advance(1);
  expect([mayAct(), told, store.table.read(key)?.revision]).toEqual([true, ['held', 'lapsed', 'held'], before + 1]);
  lease.stop();
  lease.renewNow();
  await wires.advance(1_000);
  expect(store.table.read(key)?.revision).toBe(before + 1);
});
