import { expect, test } from 'vitest';
import { callTarget, isFrameAddress, isToken, mayTakeAnswers, senderOf, subjectsOf } from './subjects.ts';

const subjects = subjectsOf('demo');
const hostile = [
  '',
  '.',
  'a..b',
  '.a',
  'a.',
  '*',
  '>',
  'x.*',
  'a b',
  'a\tb',
  'a\r\nPUB x 0\r\n',
  'a\0b',
  '\u00a0',
  '\u2028',
  '😀',
  'a'.repeat(65),
];

test('names are made of the tokens given', () => {
  expect(subjects.node('n1', 'i1')).toBe('perkey.demo.node.n1.i1');
  expect(subjects.peer('n1', 'i1')).toBe('perkey.demo.peer.n1.i1');
  expect(subjects.reply('', 'abc')).toBe('perkey.demo.reply.abc');
  expect(subjects.reply('alice', 'abc')).toBe('perkey.demo.reply.alice.abc');
  expect(subjects.call('counter', 'get')).toBe('perkey.demo.call.counter.get');
  expect(subjects.calls('counter')).toEqual(['perkey.demo.call.counter.*', 'perkey.demo.call.counter.*.*']);
  expect([subjects.any, subjects.clients, subjects.service]).toEqual(['perkey.demo.any', 'perkey.demo.clients', 'perkey-demo']);
  expect([subjects.membersBucket, subjects.shardsBucket]).toEqual(['perkey_demo_members', 'perkey_demo_shards']);
});

test('what is no token never enters a name', () => {
  for (const text of hostile) {
    expect(isToken(text)).toBe(false);
    for (const make of [
      () => subjectsOf(text),
      () => subjects.node(text, 'i1'),
      () => subjects.node('n1', text),
      () => subjects.peer('n1', text),
      () => subjects.reply('', text),
      () => subjects.call(text, 'get'),
      () => subjects.call('counter', text),
      () => subjects.calls(text),
    ]) {
      expect(make).toThrow(expect.objectContaining({ code: 'options.invalid' }));
    }
  }
});

test('frames go to addresses of the own cluster only', () => {
  const good = [
    subjects.node('n1', 'i1'),
    subjects.peer('n1', 'i1'),
    subjects.reply('', 'abc'),
    subjects.reply('alice', 'abc'),
    'perkey.demo.node.n1.i1.alice',
    subjects.any,
    subjects.clients,
  ];
  for (const address of good) expect([address, isFrameAddress(subjects, address)]).toEqual([address, true]);
  const bad = [
    'perkey.demo.',
    'perkey.demo.call.counter.get',
    'perkey.demo.node.n1',
    'perkey.demo.node.n1.i1.x.y',
    'perkey.demo.peer.n1.i1.x',
    'perkey.demo.node.*.i1',
    'perkey.demo.reply.abc.1.2',
    'perkey.demo.reply.>',
    'perkey.demo.anyone',
    'perkey.demo2.any',
    '$KV.perkey_demo_shards.shard.1',
    '_INBOX.abc',
  ];
  for (const address of [...bad, ...hostile]) expect([address, isFrameAddress(subjects, address)]).toEqual([address, false]);
});

test('a sender is told from a reply subject of the own cluster, by its whole form', () => {
  expect(senderOf(subjects, 'perkey.demo.reply.abc.0')).toBe('perkey.demo.reply.abc');
  expect(senderOf(subjects, 'perkey.demo.reply.abc.9007199254740991')).toBe('perkey.demo.reply.abc');
  expect(senderOf(subjects, 'perkey.demo.reply.alice.abc.7')).toBe('perkey.demo.reply.alice.abc');
  const bad = [
    'perkey.demo.reply.a.b.c.7',
    'perkey.demo.reply.abc',
    'perkey.demo.reply.abc.x',
    'perkey.demo.reply..1',
    'perkey.demo.node.n1.1',
    'perkey.demo2.reply.abc.1',
    '$KV.x.1',
  ];
  for (const subject of [...bad, ...hostile]) expect([subject, senderOf(subjects, subject)]).toEqual([subject, '']);
});

test('the target of a call in JSON', () => {
  expect(callTarget(subjects, 'perkey.demo.call.counter.get')).toEqual({ type: 'counter', method: 'get', principal: '' });
  expect(callTarget(subjects, 'perkey.demo.call.counter.get.alice')).toEqual({ type: 'counter', method: 'get', principal: 'alice' });
  for (const subject of [
    'perkey.demo.call.counter',
    'perkey.demo.call.counter.get.x.y',
    'perkey.demo.call.counter.get.',
    'perkey.demo.call.a b.get',
    'perkey.demo.call..get',
  ]) {
    expect(callTarget(subjects, subject)).toBeUndefined();
  }
});

test('answers in JSON go to inboxes, not to what the server or Perkey act on', () => {
  for (const subject of ['_INBOX.abc.def', 'my.reply', 'x']) expect(mayTakeAnswers(subject)).toBe(true);
  for (const subject of [
    '',
    '$JS.API.STREAM.DELETE.x',
    '$KV.perkey_demo_shards.shard.1',
    '$SRV.PING',
    'perkey.demo.node.n1.i1',
    'a.*',
    'a.>',
    'a b',
  ]) {
    expect([subject, mayTakeAnswers(subject)]).toEqual([subject, false]);
  }
});
