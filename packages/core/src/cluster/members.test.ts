import { expect, test } from 'vitest';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { Members } from './members.ts';
import type { MemberRecord } from './records.ts';

function watching() {
  const clock = new VirtualClock();
  let changes = 0;
  const members = new Members(clock, () => (changes += 1));
  const hear = (revision: number, change: Partial<MemberRecord> = {}, key?: string): void => {
    const record = { nodeId: 'b', incarnation: '5-b', n: 1, inbox: '', weight: 1, types: {}, state: 'active', protocol: 1, ...change };
    members.onRecord({ key: key ?? `member.${record.nodeId}`, value: JSON.stringify(record), revision });
  };
  return { clock, members, hear, changes: () => changes };
}

test('a renewal is no change, and counts as a sight from when it was heard of', async () => {
  const { clock, members, hear, changes } = watching();
  members.onSynced();
  hear(1);
  const before = changes();
  await clock.advance(700);
  hear(2, { n: 2 });
  expect(changes()).toBe(before);
  expect(members.get('b')?.seenAt).toBe(clock.now());
});

test('a record that is delivered again does not count as a new sight', async () => {
  const { clock, members, hear } = watching();
  hear(3, { n: 3 });
  const { seenAt } = members.get('b') ?? {};
  await clock.advance(700);
  hear(3, { n: 3 });
  hear(2, { n: 2 });
  members.onSynced();
  expect(members.get('b')?.seenAt).toBe(seenAt);
});

test('gone is for ever: for the incarnation, and for all before it', () => {
  const { members, hear } = watching();
  const is = (incarnation: string): boolean => members.isGone({ nodeId: 'b', incarnation });
  expect(is('5-b')).toBe(false);
  hear(1);
  expect([is('4-z'), is('5-b'), is('6-c')]).toEqual([true, false, false]);
  hear(2, { state: 'gone' });
  expect(is('5-b')).toBe(true);
  hear(1);
  expect(is('5-b')).toBe(true);
  hear(3, { incarnation: '6-c' });
  expect([is('5-b'), is('6-c')]).toEqual([true, false]);
});

test('what a living incarnation outlived is gone, though it is later; the next one need not say so again', () => {
  const { members, hear, changes } = watching();
  const is = (incarnation: string): boolean => members.isGone({ nodeId: 'b', incarnation });
  members.onSynced();
  hear(1);
  expect([members.isReplaced({ nodeId: 'b', incarnation: '8-b' }), is('8-b')]).toEqual([true, false]);
  const before = changes();
  hear(2, { outlived: 8 });
  expect(changes()).toBe(before + 1);
  expect([is('5-b'), is('8-b'), is('9-b')]).toEqual([false, true, false]);
  expect(members.isReplaced({ nodeId: 'b', incarnation: '8-b' })).toBe(false);
  hear(3, { outlived: 8, state: 'gone' });
  expect([is('8-b'), members.isOrphan({ nodeId: 'b', incarnation: '8-b' })]).toEqual([true, false]);
  for (const outlived of [Number.NaN, 1.5, '9', null]) {
    hear(4, { outlived: outlived as number });
    expect([is('8-b'), is('9-b')]).toEqual([false, false]);
  }
});

test('a later incarnation, or a goodbye, is believed from a store that counts its revisions anew; a mere renewal is not', () => {
  const { members, hear } = watching();
  hear(100);
  hear(1, { n: 9 });
  expect(members.get('b')?.revision).toBe(100);
  hear(2, { state: 'gone' });
  expect(members.get('b')?.record.state).toBe('gone');
  hear(1, { incarnation: '7-b' });
  expect(members.get('b')?.record.incarnation).toBe('7-b');
});

test('what cannot be read is passed over', () => {
  const { members, hear, changes } = watching();
  members.onSynced();
  const before = changes();
  for (const value of ['', '{', 'null', '[]', '{"nodeId":"b"}']) members.onRecord({ key: 'member.b', value, revision: 1 });
  hear(1, {}, 'member.other');
  hear(1, {}, 'shard.1');
  for (const weight of [0, -1, '1' as never, null as never]) hear(1, { weight });
  const record = { nodeId: 'b', incarnation: '5-b', n: 1, inbox: '', types: {}, state: 'active', protocol: 1 };
  members.onRecord({ key: 'member.b', value: JSON.stringify(record).replace('}', ',"weight":1e999}'), revision: 1 });
  members.onRecord({
    key: 'member.b',
    value: JSON.stringify({ ...record, weight: 0 }).replace('"weight":0', '"weight":1e999'),
    revision: 1,
  });
  expect([...members.all()]).toEqual([]);
  expect(changes()).toBe(before);
});

test('nothing is told before everything is known', () => {
  const { members, hear, changes } = watching();
  hear(1);
  expect(changes()).toBe(0);
  members.onSynced();
  expect(changes()).toBe(1);
  hear(2, { state: 'draining' });
  expect(changes()).toBe(2);
});

test('a renewal whose text differs in its n alone is known by that, and every other text is read in full', () => {
  const { members } = watching();
  const body = '{"nodeId":"b","incarnation":"5-b","inbox":"","weight":1,"types":{"t,\\"n\\":4}":"1"},"state":"active","protocol":1';
  let revision = 0;
  const hear = (value: string): MemberRecord | undefined => {
    members.onRecord({ key: 'member.b', value, revision: (revision += 1) });
    return members.get('b')?.record;
  };
  expect(hear(`${body},"n":7}`)).toMatchObject({ n: 7, state: 'active' });
  expect(hear(`${body},"n":10}`)).toEqual({ ...JSON.parse(`${body},"n":10}`) });
  // A text that is no record leaves what is known.
  for (const end of ['"n":011}', '"n":-}', '"n":1e}', '"n":12}}', '"n":"12"}', '"n":12', '"n":}'])
    expect(hear(`${body},${end}`)).toMatchObject({ n: 10 });
  expect(hear(`${body.replace('active', 'gone')},"n":10}`)).toMatchObject({ n: 10, state: 'gone' });
  expect(hear(`${body.replace('5-b', '6-b')},"n":1}`)).toMatchObject({ n: 1, incarnation: '6-b' });
});
