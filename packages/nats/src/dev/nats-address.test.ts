import { expect, test } from 'vitest';
import { describeNatsUrls, parseNatsUrls } from './nats-address.ts';

test.each([
  ['localhost', [{ host: 'localhost', port: 4222 }]],
  ['10.0.0.1:5222', [{ host: '10.0.0.1', port: 5222 }]],
  [
    'nats://ann:secret@one:1, tls://two',
    [
      { host: 'one', port: 1 },
      { host: 'two', port: 4222 },
    ],
  ],
  ['nats://[::1]:4333', [{ host: '::1', port: 4333 }]],
])('%s', (text, addresses) => {
  expect(parseNatsUrls(text)).toEqual(addresses);
});

test.each([' , ', 'nats://', 'http://one:80', 'nats://ann:secret@one:99999'])('refused: %s', (text) => {
  expect(() => parseNatsUrls(text)).toThrow(/address/);
  expect(() => parseNatsUrls(text)).not.toThrow(/secret/);
});

test('the description holds no credentials and reads like an address', () => {
  expect(describeNatsUrls(parseNatsUrls('nats://ann:secret@one:1,[::1]:2'))).toBe('one:1,[::1]:2');
});
