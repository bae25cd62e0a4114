import { expect, test } from 'vitest';
import { AppendFrames } from './append-frames.ts';

const written: Uint8Array[] = [];
const make = (): AppendFrames => {
  written.length = 0;
  return new AppendFrames((bytes) => written.push(bytes));
};
const texts = (): string[] => written.map((bytes) => Buffer.from(bytes).toString('latin1'));

test('an append is one publish with the sequence that it expects', async () => {
  const frames = make();
  frames.add('a.b', '_INBOX.x.1', 12, Buffer.from('body'));
  expect([written.length, frames.isEmpty]).toEqual([0, false]);
  await Promise.resolve();
  const header = 'NATS/1.0\r\nNats-Expected-Last-Subject-Sequence:12\r\n\r\n';
  expect(texts()).toEqual([`HPUB a.b _INBOX.x.1 ${header.length} ${header.length + 4}\r\n${header}body\r\n`]);
  expect(frames.isEmpty).toBe(true);
});

test('those of one step leave together, in their order; those of the next by themselves', async () => {
  const frames = make();
  for (const n of [1, 2, 3]) frames.add('s', `r.${n}`, n, Buffer.from(`<${n}>`));
  await Promise.resolve();
  frames.add('s', 'r.4', 4, Buffer.from('<4>'));
  await Promise.resolve();
  expect(texts().map((text) => text.match(/<\d>/g))).toEqual([['<1>', '<2>', '<3>'], ['<4>']]);
});

test('many bytes do not wait for the end of the step, large bodies keep their place, and what was written stays as it was', async () => {
  const frames = make();
  const sizes = Array.from({ length: 400 }, (_, i) => (i % 50 === 7 ? 300_000 : 1 + ((i * 37) % 900)));
  const body = (i: number): Buffer => Buffer.alloc(sizes[i] ?? 0, i % 251);
  for (const i of sizes.keys()) {
    const before = written.length;
    frames.add('s', `r.${i}`, i, body(i));
    if ((sizes[i] ?? 0) > 100_000) expect(written.length).toBeGreaterThan(before);
  }
  await Promise.resolve();
  const all = Buffer.concat(written);
  let at = 0;
  for (const i of sizes.keys()) {
    const line = all.subarray(at, all.indexOf('\r\n', at)).toString('latin1');
    const [, , reply, headerBytes, bytes] = line.split(' ');
    const end = at + line.length + 2 + Number(bytes);
    expect([reply, all.subarray(at + line.length + 2 + Number(headerBytes), end).equals(body(i))]).toEqual([`r.${i}`, true]);
    at = end + 2;
  }
  expect(at).toBe(all.length);
});

test('nothing leaves once the connection is lost', async () => {
  const frames = make();
  frames.add('s', 'r', 0, Buffer.from('x'));
  frames.drop();
  await Promise.resolve();
  expect(written).toEqual([]);
});
