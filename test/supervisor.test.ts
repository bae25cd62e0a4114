import type { ControlLink } from '@perkey/core';
import { supervise, type ChildExit, type Supervisor, type SupervisorOptions } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { environmentOf, Links, LogKeeper } from './nats-fixture.ts';

interface MemberRecord {
  readonly incarnation: string;
  readonly state: string;
  readonly n: number;
  readonly [field: string]: unknown;
}

let server: Awaited<ReturnType<typeof startNatsServer>>;
let links: Links;
let control: ControlLink;
beforeEach(async () => {
  server = await startNatsServer();
  links = new Links();
  ({ link: control } = await links.control({ servers: server.url }, environmentOf()));
});
afterEach(async () => {
  await links[Symbol.asyncDispose]();
  await server.stop();
});

const program = join(import.meta.dirname, 'supervisor-child.ts');
const nodeArgs = (behaviour: string): readonly string[] => ['--conditions=@perkey/source', program, server.url, 'n1', behaviour];

async function record(): Promise<MemberRecord | undefined> {
  const found = await control.members.read('member.n1');
  return found && (JSON.parse(found.value) as MemberRecord);
}

interface Watched {
  readonly supervisor: Supervisor;
  readonly exits: readonly ChildExit[];
  readonly log: LogKeeper;
}

async function start(behaviour: string, changes: Partial<SupervisorOptions> = {}): Promise<Watched> {
  const exits: ChildExit[] = [];
  const log = new LogKeeper();
  const supervisor = await supervise({
    cluster: 'test',
    nats: { servers: server.url },
    nodeId: 'n1',
    start: { command: process.execPath, args: nodeArgs(behaviour) },
    restartDelayMs: 50,
    log,
    onExit: (exit) => exits.push(exit),
    ...changes,
  });
  return { supervisor, exits, log };
}

const running = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('a child killed with SIGKILL is evicted at once, all other fields of its record kept, and is started again', async () => {
  const { supervisor, exits } = await start('steady');
  await expect.poll(() => supervisor.incarnation, { timeout: 5_000 }).toBeTruthy();
  const first = supervisor.incarnation;
  const before = await record();
  expect(before).toMatchObject({ incarnation: first, state: 'active' });
  const gone = Promise.withResolvers<number>();
  const watch = await control.members.watch({
    onRecord: ({ value }) => {
      if ((JSON.parse(value) as MemberRecord).state === 'gone') gone.resolve(performance.now());
    },
    onSynced: () => {},
  });
  const pid = supervisor.pid ?? 0;
  const killedAt = performance.now();
  process.kill(pid, 'SIGKILL');
  const tookMs = (await gone.promise) - killedAt;
  expect(tookMs).toBeLessThan(500);
  const evicted = await record();
  if (evicted?.incarnation === first) expect(evicted).toEqual({ ...before, n: evicted?.n, state: 'gone' });
  await expect.poll(() => supervisor.incarnation !== undefined && supervisor.incarnation !== first, { timeout: 5_000 }).toBe(true);
  await expect.poll(record).toMatchObject({ incarnation: supervisor.incarnation, state: 'active' });
  expect(exits).toMatchObject([{ code: null, signal: 'SIGKILL', next: 'restart', evictedAfterMs: expect.any(Number) }]);
  watch.stop();
  await supervisor.stop();
});

test.each(['crash', 'abort'])('a child that ends by itself (%s) is evicted and started again', async (behaviour) => {
  const { supervisor, exits, log } = await start(behaviour, { restartsMax: 2, restartDelayMs: 10 });
  await supervisor.ended;
  expect(exits.map(({ next }) => next)).toEqual(['restart', 'restart', 'gave_up']);
  for (const { evictedAfterMs } of exits) expect(evictedAfterMs).toBeLessThan(500);
  expect(await record()).toMatchObject({ state: 'gone' });
  expect(log.with('does not stay up')).toHaveLength(1);
  expect(supervisor.pid).toBeUndefined();
});

test('a child that ends with code 0 is not started again', async () => {
  const { supervisor, exits } = await start('done');
  await supervisor.ended;
  expect(exits).toMatchObject([{ code: 0, next: 'ended' }]);
  expect(await record()).toMatchObject({ state: 'gone' });
});

test('stop ends the child with SIGTERM, and its incarnation is gone when it resolves', async () => {
  const { supervisor, exits } = await start('steady');
  await expect.poll(() => supervisor.incarnation, { timeout: 5_000 }).toBeTruthy();
  const pid = supervisor.pid ?? 0;
  await Promise.all([supervisor.stop(), supervisor.stop()]);
  expect(running(pid)).toBe(false);
  expect(exits).toMatchObject([{ signal: 'SIGTERM', next: 'ended' }]);
  expect(await record()).toMatchObject({ state: 'gone' });
});

test('a child that does not heed SIGTERM is killed when its time to drain is over', async () => {
  const { supervisor, exits } = await start('deaf', { drainMs: 300 });
  await expect.poll(() => supervisor.incarnation, { timeout: 5_000 }).toBeTruthy();
  const since = performance.now();
  await supervisor.stop();
  expect(performance.now() - since).toBeGreaterThanOrEqual(295);
  expect(exits).toMatchObject([{ signal: 'SIGKILL', next: 'ended' }]);
  expect(await record()).toMatchObject({ state: 'gone' });
});

test('an incarnation that is not the child’s is never touched', async () => {
  const { supervisor, exits } = await start('steady');
  await expect.poll(() => supervisor.incarnation, { timeout: 5_000 }).toBeTruthy();
  const other = { nodeId: 'n1', incarnation: 'other', n: 1, state: 'active' };
  await expect
    .poll(async () => {
      const found = await control.members.read('member.n1');
      return (await control.members.write('member.n1', JSON.stringify(other), found?.revision ?? 0)).applied;
    })
    .toBe(true);
  await supervisor.stop();
  expect(exits).toHaveLength(1);
  expect(await record()).toEqual(other);
});

test('a child that told nothing is started again without an eviction', async () => {
  const { supervisor, exits } = await start('silent');
  await expect.poll(record, { timeout: 5_000 }).toMatchObject({ state: 'active' });
  process.kill(supervisor.pid ?? 0, 'SIGKILL');
  await expect.poll(() => exits, { timeout: 5_000 }).toMatchObject([{ next: 'restart', evictedAfterMs: undefined }]);
  expect(await record()).toMatchObject({ state: 'active' });
  await supervisor.stop();
});

test('while NATS is away the eviction waits for it', async () => {
  const { supervisor } = await start('steady', { evictLimitMs: 20_000 });
  await expect.poll(() => supervisor.incarnation, { timeout: 5_000 }).toBeTruthy();
  const first = supervisor.incarnation;
  await server.kill();
  process.kill(supervisor.pid ?? 0, 'SIGKILL');
  await delay(300);
  expect(supervisor.pid).toBeUndefined();
  await server.restart();
  await expect.poll(() => supervisor.incarnation !== undefined && supervisor.incarnation !== first, { timeout: 5_000 }).toBe(true);
  await supervisor.stop();
});

test('a program that is not there is tried as often as the limit says', async () => {
  const { supervisor, exits } = await start('', { start: { command: '/no/such/program' }, restartsMax: 1, restartDelayMs: 1 });
  await supervisor.ended;
  expect(exits.map(({ next, evictedAfterMs }) => [next, evictedAfterMs])).toEqual([
    ['restart', undefined],
    ['gave_up', undefined],
  ]);
});

test('a function may start the child', async () => {
  const startIt = (): ReturnType<typeof spawn> =>
    spawn(process.execPath, [...nodeArgs('steady')], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, PERKEY_SUPERVISED: '1' },
    });
  const { supervisor } = await start('', { start: startIt });
  await expect.poll(() => supervisor.incarnation, { timeout: 5_000 }).toBeTruthy();
  await supervisor.stop();
  expect(await record()).toMatchObject({ state: 'gone' });
});

test('a child ends when its supervisor is gone', async () => {
  const text = `
    import { supervise } from '@perkey/nats';
    const supervisor = await supervise({ cluster: 'test', nats: { servers: ${JSON.stringify(server.url)} }, nodeId: 'n1',
      start: { command: process.execPath, args: ${JSON.stringify(nodeArgs('steady'))} } });
    const timer = setInterval(() => {
      if (supervisor.incarnation === undefined) return;
      clearInterval(timer);
      process.send(supervisor.pid);
    }, 10);`;
  const parent = spawn(process.execPath, ['--conditions=@perkey/source', '--input-type=module', '-e', text], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    cwd: import.meta.dirname,
  });
  const pid = await new Promise<number>((resolve) => {
    parent.once('message', (message) => resolve(message as number));
  });
  expect(running(pid)).toBe(true);
  parent.kill('SIGKILL');
  await expect.poll(() => running(pid), { timeout: 5_000 }).toBe(false);
});

test('options out of bounds and a server that is away are told before anything is started', async () => {
  let started = 0;
  const never = (): never => {
    started += 1;
    throw new Error('must not be called');
  };
  const options = { cluster: 'test', nodeId: 'n1', start: never };
  await expect(supervise({ ...options, nats: { servers: server.url }, restartsMax: -1 })).rejects.toMatchObject({
    code: 'options.invalid',
  });
  await expect(supervise({ ...options, nats: { servers: '127.0.0.1:1' }, connectTimeoutMs: 200 })).rejects.toMatchObject({
    code: 'transport.connect_timeout',
  });
  expect(started).toBe(0);
});
