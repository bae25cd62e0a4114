import { expect, test } from 'vitest';
import { digestName, sha256 } from './digest.ts';

test('digests are those of SHA-256', () => {
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(Buffer.from(sha256('abc')).toString('hex')).toBe(abc);
  expect(Buffer.from(sha256(new TextEncoder().encode('abc'))).toString('hex')).toBe(abc);
  expect(Buffer.from(digestName('abc'), 'base64url').toString('hex')).toBe(abc);
});

test('a name is safe whatever the text', () => {
  for (const text of ['', '.', '*', '>', 'a b', '\r\n', '\u{1f600}', 'x'.repeat(10_000)])
    expect(digestName(text)).toMatch(/^[A-Za-z0-9_-]{43}$/);
});
