import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { withLock } from './cache-lock.ts';

let names = 0;
const freshName = (): string => `cache-lock.test ${process.pid} ${(names += 1)}`;

test('one at a time, whoever waits', async () => {
  const name = freshName();
  let inside = 0;
  let worked = 0;
  const work = async (): Promise<void> => {
    inside += 1;
    expect(inside).toBe(1);
    await new Promise(setImmediate);
    inside -= 1;
    worked += 1;
  };
  await Promise.all(Array.from({ length: 8 }, () => withLock(name, 5_000, work)));
  expect(worked).toBe(8);
});

test('the result is handed on, and a failure frees the lock', async () => {
  const name = freshName();
  await expect(withLock(name, 1_000, () => Promise.reject(new Error('no luck')))).rejects.toThrow('no luck');
  expect(await withLock(name, 1_000, async () => 7)).toBe(7);
});

test('gives up after its time, with the name of the lock', async () => {
  const name = freshName();
  await withLock(name, 1_000, async () => {
    await expect(withLock(name, 20, async () => 1)).rejects.toThrow(`another process has held the lock of ${name} for 20 ms`);
  });
});

test('the lock of a process that was killed is free', async () => {
  const name = freshName();
  const code = `
    import { withLock } from ${JSON.stringify(new URL('./cache-lock.ts', import.meta.url).href)};
    await withLock(${JSON.stringify(name)}, 1000, () => new Promise(() => { console.log('held'); setInterval(() => {}, 1000); }));`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  const waiting = withLock(name, 5_000, async () => 'mine');
  holder.kill('SIGKILL');
  expect(await waiting).toBe('mine');
});
