import { expect, test } from 'vitest';
import { placeReader } from './delivered-place.ts';
import type { Place } from './delivered-place.ts';

const placeOf = placeReader('perkey_demo_events', 'perkey_ab');

function read(reply: string): Place | undefined {
  const place = { sequence: 0, delivered: 0, pending: 0 };
  return placeOf(reply, place) ? place : undefined;
}

test('the place of a message is read with and without a domain', () => {
  const place = { sequence: 17, delivered: 4, pending: 9 };
  expect(read('$JS.ACK.perkey_demo_events.perkey_ab.1.17.4.1700000000000000000.9')).toEqual(place);
  expect(read('$JS.ACK.hub.ACCOUNT.perkey_demo_events.perkey_ab.1.17.4.1700000000000000000.9')).toEqual(place);
  expect(read('$JS.ACK.hub.ACCOUNT.perkey_demo_events.perkey_ab.1.17.4.1700000000000000000.9.token')).toEqual(place);
});

test('nothing else is a place', () => {
  for (const reply of [
    '',
    '_INBOX.x',
    '$JS.ACK.other.perkey_ab.1.17.4.1.9',
    '$JS.ACK.perkey_demo_events.other.1.17.4.1.9',
    '$JS.ACK.perkey_demo_events.perkey_ab.1.17.4.1',
    '$JS.ACK.perkey_demo_events.perkey_ab.1.x.4.1.9',
    '$JS.ACK.perkey_demo_events.perkey_ab.1.0.4.1.9',
  ])
    expect(read(reply), reply).toBeUndefined();
});
