import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** A parent process in the middle: its guarded child dials this process, so that the child's end is seen as the end of a connection. */
class Family {
  readonly parent: ChildProcess;
  readonly dir: string;
  readonly child: Socket;
  readonly childPid: number;

  private constructor(parent: ChildProcess, dir: string, child: Socket, childPid: number) {
    this.parent = parent;
    this.dir = dir;
    this.child = child;
    this.childPid = childPid;
  }

  static async start(atEnd: string): Promise<Family> {
    const dir = await mkdtemp(join(tmpdir(), 'perkey-guard-'));
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    const childCode = `require('net').connect(${port}, '127.0.0.1').write(String(process.pid))`;
    const parentCode = `
      import { GuardedChild } from ${JSON.stringify(new URL('./guarded-child.ts', import.meta.url).href)};
      const child = new GuardedChild({ program: process.execPath, args: ['-e', ${JSON.stringify(childCode)}],
        logFile: ${JSON.stringify(join(dir, 'log'))}, ownedDir: ${JSON.stringify(dir)} });
      ${atEnd}`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', parentCode], { stdio: ['pipe', 'ignore', 'inherit'] });
    const [socket] = (await once(listener, 'connection')) as [Socket];
    listener.close();
    socket.on('error', () => undefined);
    const [pid] = (await once(socket, 'data')) as [Buffer];
    return new Family(parent, dir, socket, Number(String(pid)));
  }
}

const waitForInput = 'process.stdin.resume();';

test('the child ends when its parent is killed with SIGKILL, and its folder is removed', async () => {
  const family = await Family.start(waitForInput);
  const ended = once(family.child, 'close');
  family.parent.kill('SIGKILL');
  await ended;
  await expect.poll(() => existsSync(family.dir)).toBe(false);
});

test('a stopped child ends too', async () => {
  const family = await Family.start(waitForInput);
  process.kill(family.childPid, 'SIGSTOP');
  const ended = once(family.child, 'close');
  family.parent.kill('SIGKILL');
  await ended;
  await expect.poll(() => existsSync(family.dir)).toBe(false);
});

test('the child does not keep its parent alive, and ends with it', async () => {
  const family = await Family.start('process.stdin.once("data", () => process.stdin.destroy());');
  const ended = once(family.child, 'close');
  const exit = once(family.parent, 'exit');
  family.parent.stdin?.end('go\n');
  expect(await exit).toEqual([0, null]);
  await ended;
});

test('nothing that belongs to the child is touched when it ended before its parent', async () => {
  const family = await Family.start('await child.ended(); process.exit(child.exit.signal === "SIGTERM" ? 7 : 8);');
  const exit = once(family.parent, 'exit');
  process.kill(family.childPid, 'SIGTERM');
  expect(await exit).toEqual([7, null]);
  expect(existsSync(family.dir)).toBe(true);
  await rm(family.dir, { recursive: true });
});
