import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import { ScriptedRecordStore } from '../testkit/scripted-record-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { Evictor, type EvictorOptions, orphansOf } from './evictor.ts';
import { Members } from './members.ts';
import { type Incarnated, type MemberRecord, parseMember } from './records.ts';
import { ShardTable } from './shard-table.ts';

const minute = 60_000;

/** Node `a`, which watches the others. */
function evicting(options: Partial<Pick<EvictorOptions, 'owners' | 'orphans'>> = {}) {
  const clock = new VirtualClock();
  const store = new ScriptedRecordStore(clock);
  const members = new Members(clock, () => {});
  const lease: { heldSince: number | undefined } = { heldSince: clock.now() };
  const orphans: Incarnated[] = [];
  const outlived: number[] = [];
  let evictions = 0;
  const evictor = new Evictor({
    ...{ store, members, clock, log: silentLogger, self: 'a', patienceMs: 2_500, checkMs: 250 },
    evictions: { inc: () => (evictions += 1) },
    leaseHeldSince: () => lease.heldSince,
    orphans: () => orphans,
    onOutlived: (generation) => outlived.push(generation),
    ...options,
  });
  const record = (change: Partial<MemberRecord> = {}): MemberRecord => ({
    ...{ nodeId: 'b', incarnation: '1-b', n: 1, inbox: '', weight: 1, types: {}, state: 'active', protocol: 1 },
    ...change,
  });
  const write = (change: Partial<MemberRecord> = {}, isHeard = true): void => {
    const value = record(change);
    const key = `member.${value.nodeId}`;
    store.table.write(key, JSON.stringify(value), store.table.read(key)?.revision ?? 0);
    if (isHeard) hear(value.nodeId);
  };
  const hear = (nodeId = 'b'): void => {
    const found = store.table.read(`member.${nodeId}`);
    if (found) members.onRecord(found);
  };
  const stored = (nodeId = 'b'): MemberRecord | undefined => parseMember(store.table.read(`member.${nodeId}`)?.value ?? '');
  return { clock, store, members, lease, orphans, outlived, evictor, write, hear, stored, counted: () => evictions };
}

test('a member that renews no more is evicted once its lease and the margin have passed since its last sight', async () => {
  const { clock, write, stored, members, counted, evictor } = evicting();
  write();
  await clock.advance(2_400);
  write({ n: 2 });
  await clock.advance(2_499);
  expect(stored()?.state).toBe('active');
  await clock.advance(260);
  expect(stored()).toMatchObject({ state: 'gone', n: 2 });
  expect(members.isGone({ nodeId: 'b', incarnation: '1-b' })).toBe(true);
  expect(counted()).toBe(1);
  evictor.stop();
});

test('a member is evicted when its time is over, not at the next look', async () => {
  const { clock, write, stored, evictor } = evicting();
  await clock.advance(137);
  write();
  await clock.advance(2_500);
  expect(stored()?.state).toBe('active');
  await clock.advance(2);
  expect(stored()?.state).toBe('gone');
  evictor.stop();
});

test('an incarnation without a record, to which a shard was released by one that is gone, is proven gone', async () => {
  const table = new ShardTable(
    4,
    () => {},
    () => {},
  );
  const self = { nodeId: 'a', incarnation: '1-a' };
  const { clock, write, members, evictor } = evicting({ orphans: () => orphansOf(table, members, self) });
  write({ state: 'gone' });
  members.onSynced();
  const successor = { nodeId: 'c', incarnation: '1-c' };
  const record = { nodeId: 'b', incarnation: '1-b', shard: 2, epoch: 7, state: 'releasing', successor };
  table.onRecord({ key: 'shard.2', value: JSON.stringify(record), revision: 1 });
  await clock.advance(2_000);
  expect(members.isGone(successor)).toBe(false);
  await clock.advance(1_500);
  expect(members.isGone(successor)).toBe(true);
  evictor.stop();
});

test('an owner that is later than the record of its node, in a store that was set back, is proven gone', async () => {
  const { clock, orphans, write, stored, members, evictor } = evicting();
  write({ state: 'gone' });
  const later = { nodeId: 'b', incarnation: '2-b' };
  expect([members.isOrphan(later), members.isOrphan({ nodeId: 'b', incarnation: '1-b' }), members.isGone(later)]).toEqual([
    true,
    false,
    false,
  ]);
  orphans.push(later);
  await clock.advance(2_400);
  expect(stored()).toMatchObject({ incarnation: '1-b' });
  await clock.advance(700);
  expect(stored()).toMatchObject({ ...later, state: 'gone' });
  expect([members.isOrphan(later), members.isGone(later)]).toEqual([false, true]);
  evictor.stop();
});

test('an earlier record that was replaced meanwhile saves the later incarnation', async () => {
  const { clock, orphans, write, stored, evictor } = evicting();
  write({ state: 'gone' });
  orphans.push({ nodeId: 'b', incarnation: '2-b' });
  await clock.advance(2_400);
  write({ incarnation: '2-b' }, false);
  await clock.advance(600);
  expect(stored()).toMatchObject({ incarnation: '2-b', state: 'active' });
  evictor.stop();
});

test('a later incarnation of the own node, in a store that was set back, is outlived when the own lease has held for long enough', async () => {
  const { clock, orphans, outlived, lease, write, evictor } = evicting();
  write({ nodeId: 'a', incarnation: '4-a' });
  orphans.push({ nodeId: 'a', incarnation: '9-a' });
  await clock.advance(2_400);
  lease.heldSince = clock.now();
  await clock.advance(2_400);
  expect(outlived).toEqual([]);
  await clock.advance(400);
  expect(outlived[0]).toBe(9);
  evictor.stop();
});

test('only the node itself can say so: its record is not overwritten while it lives', async () => {
  const { clock, orphans, outlived, write, stored, evictor } = evicting();
  orphans.push({ nodeId: 'b', incarnation: '9-b' });
  for (let n = 1; n < 10; n += 1) {
    write({ n });
    await clock.advance(700);
  }
  expect(stored()).toMatchObject({ incarnation: '1-b', state: 'active' });
  expect(outlived).toEqual([]);
  evictor.stop();
});

test('time in which the own lease did not hold does not count (I19)', async () => {
  const { clock, lease, write, stored, evictor } = evicting();
  write();
  lease.heldSince = undefined;
  await clock.advance(minute);
  lease.heldSince = clock.now();
  await clock.advance(2_499);
  expect(stored()?.state).toBe('active');
  await clock.advance(260);
  expect(stored()?.state).toBe('gone');
  evictor.stop();
});

test('a renewal that was not heard of saves the member: its revision is another one', async () => {
  const { clock, write, stored, counted, evictor } = evicting();
  write();
  for (let n = 2; n < 20; n += 1) {
    await clock.advance(500);
    write({ n }, false);
  }
  expect(stored()?.state).toBe('active');
  expect(counted()).toBe(0);
  evictor.stop();
});

test('a member with a longer lease is given that long', async () => {
  const { clock, write, stored, evictor } = evicting();
  write({ nodeId: 'a', leaseMs: 2_000 });
  write({ leaseMs: 10_000 });
  await clock.advance(10_400);
  expect(stored()?.state).toBe('active');
  await clock.advance(400);
  expect(stored()?.state).toBe('gone');
  evictor.stop();
});

test('a member never evicts itself', async () => {
  const { clock, write, stored, evictor } = evicting();
  write({ nodeId: 'a' });
  await clock.advance(minute);
  expect(stored('a')?.state).toBe('active');
  evictor.stop();
});

test.each(['applied-unavailable', 'applied-refused', 'unavailable', 'refused'] as const)(
  'an eviction that ends %s is settled',
  async (end) => {
    const { clock, store, write, stored, members, evictor } = evicting();
    write();
    store.nextWrites({ end }, { end });
    await clock.advance(4_000);
    expect(stored()?.state).toBe('gone');
    expect(members.isGone({ nodeId: 'b', incarnation: '1-b' })).toBe(true);
    evictor.stop();
  },
);

test('an owner without a member record is buried, but not at first sight', async () => {
  const { clock, orphans, stored, members, evictor } = evicting();
  orphans.push({ nodeId: 'lost', incarnation: '1-l' });
  await clock.advance(2_500);
  expect(stored('lost')).toBeUndefined();
  await clock.advance(600);
  expect(stored('lost')).toMatchObject({ state: 'gone', incarnation: '1-l' });
  expect(members.isGone({ nodeId: 'lost', incarnation: '1-l' })).toBe(true);
  evictor.stop();
});

test('an owner whose record was only not heard of yet is not buried', async () => {
  const { clock, orphans, write, stored, counted, evictor } = evicting();
  write({ nodeId: 'lost', incarnation: '1-l' }, false);
  orphans.push({ nodeId: 'lost', incarnation: '1-l' });
  await clock.advance(3_300);
  expect(stored('lost')?.state).toBe('active');
  expect(counted()).toBe(0);
  evictor.stop();
});

test('a member whose record is missing from the store is buried too', async () => {
  const { clock, store, write, stored, members, evictor } = evicting();
  write();
  store.table.restore([]);
  await clock.advance(4_000);
  expect(stored()?.state).toBe('gone');
  expect(members.isGone({ nodeId: 'b', incarnation: '1-b' })).toBe(true);
  evictor.stop();
});

test('while the store is down nothing is asked more often than it looks', async () => {
  const { clock, store, write, evictor } = evicting();
  for (const nodeId of ['b', 'c', 'd']) write({ nodeId });
  store.always = { write: { end: 'unavailable' }, read: 'unavailable' };
  await clock.advance(20_000);
  expect(store.writesAsked).toBeLessThan(3 * 4 * 20);
  evictor.stop();
});

test('what its surroundings throw does not end its looking', async () => {
  let throws = 5;
  const { clock, write, stored, evictor } = evicting({
    orphans: () => {
      throws -= 1;
      if (throws > 0) throw new Error('thrown');
      return [];
    },
  });
  write();
  await clock.advance(5_000);
  expect(throws).toBeLessThan(1);
  expect(stored()?.state).toBe('gone');
  evictor.stop();
});

test('once stopped it evicts nobody, whatever it was waiting for', async () => {
  const { clock, store, write, stored, counted, evictor } = evicting();
  write();
  write({ nodeId: 'c', incarnation: '1-c' });
  store.always = { write: { beforeMs: 100, afterMs: 100 } };
  await clock.advance(2_600);
  evictor.stop();
  await clock.advance(minute);
  expect([stored('b')?.state, stored('c')?.state]).toContain('active');
  expect(counted()).toBeLessThanOrEqual(1);
  expect(clock.pending).toBe(0);
});

test('members that are gone for long are forgotten, but for those that a shard still names', async () => {
  const named = { nodeId: 'c', incarnation: '1-c' };
  const { clock, store, members, write, evictor } = evicting({ owners: () => [named] });
  write({ state: 'gone' });
  write({ ...named, state: 'gone' });
  await clock.advance(9 * minute);
  expect(store.table.records()).toHaveLength(2);
  await clock.advance(2 * minute);
  expect(store.table.records().map(({ key }) => key)).toEqual(['member.c']);
  expect([...members.all()].map(({ record }) => record.nodeId)).toEqual(['c']);
  evictor.stop();
});

test('an id that came back is not forgotten, though its former incarnation was gone', async () => {
  const { clock, store, write, stored, evictor } = evicting({ owners: () => [] });
  write({ state: 'gone' });
  await clock.advance(9 * minute);
  write({ incarnation: '2-b' }, false);
  await clock.advance(2 * minute);
  expect(stored()?.incarnation).toBe('2-b');
  expect(store.table.records()).toHaveLength(1);
  evictor.stop();
});

test('candidates whose process died are forgotten', async () => {
  const { clock, store, members, evictor } = evicting({ owners: () => [] });
  store.table.write('candidate.x.0-abc', '{}', 0);
  const found = store.table.read('candidate.x.0-abc');
  if (found) members.onRecord(found);
  await clock.advance(11 * minute);
  expect(store.table.records()).toEqual([]);
  evictor.stop();
});
