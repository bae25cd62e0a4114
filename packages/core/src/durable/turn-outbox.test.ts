import { expect, test } from 'vitest';
import { defineActor } from '../actor/definition.ts';
import type { OutboxDraft } from './drafts.ts';
import { TurnOutbox } from './turn-outbox.ts';

function outbox(): { readonly box: TurnOutbox; readonly drafts: OutboxDraft[] } {
  const drafts: OutboxDraft[] = [];
  return { box: new TurnOutbox(64, {}, (draft) => drafts.push(draft)), drafts };
}

test.each([
  ['of the broker', '$KV.perkey_demo_shards.1'],
  ['of the API of JetStream', '$JS.API.STREAM.DELETE.KV_perkey_demo_members'],
  ['where somebody waits for an answer', '_INBOX.web.1'],
  ['of Perkey', 'perkey.demo.node.node-1'],
  ['nothing', ''],
  ['an empty token', 'a..b'],
  ['a dot first', '.a'],
  ['a dot last', 'a.'],
  ['a wildcard', 'orders.*'],
  ['a wildcard for all', 'orders.>'],
  ['a space', 'orders placed'],
  ['a line break', 'orders\r\nPUB x 0'],
  ['a character that is not visible', 'orders\0'],
  ['what is not ASCII', 'orders.ü'],
  ['too much', 'a'.repeat(257)],
])('no message goes to a subject that is %s', (_what, subject) => {
  const { box, drafts } = outbox();
  expect(() => box.publish(subject, 1)).toThrow('an outbox subject is');
  expect(drafts).toEqual([]);
});

test.each([
  ['that decides for the server', { 'Nats-Rollup': 'all' }],
  ['that does, in small letters', { 'nats-expected-last-sequence': '0' }],
  ['with a line break', { mine: 'a\r\nNats-Rollup: all' }],
  ['with a line break in its name', { 'a\r\nb': '1' }],
  ['without a name', { '': '1' }],
  ['that is no text', { mine: 1 }],
])('no message has a header %s', (_what, headers) => {
  const { box, drafts } = outbox();
  expect(() => box.publish('orders.placed', 1, headers as never)).toThrow('outbox headers are texts');
  expect(drafts).toEqual([]);
});

test('what is right is written down as it is at that moment; keys are those of actors', () => {
  const { box, drafts } = outbox();
  const data = { item: 'book' };
  box.publish('orders.placed', data, { shop: 'north' });
  data.item = 'chair';
  expect(drafts).toEqual([{ to: 'subject', subject: 'orders.placed', data: { item: 'book' }, headers: { shop: 'north' } }]);
  const Other = defineActor('other', { run: {} });
  for (const key of ['', 'x'.repeat(65), '\ud800']) expect(() => box.actor(Other, key)).toThrow(/key/);
});
