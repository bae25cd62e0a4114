import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startNatsServer } from '@perkey/nats/dev';
import { describe, expect, test } from 'vitest';
import { DemoProcess, freshCluster } from './support/demo-process.ts';
import { HttpLoad, send } from './support/http-load.ts';

const run = promisify(execFile);
const freePorts = ['--http-port', '0', '--metrics-port', '0'];
const announced = (cluster: string): string => join(import.meta.dirname, `../.cache/counter-demo-${cluster}.json`);

/** The programs that this process started, by their parents' ids, now. */
async function childrenOf(pid: number): Promise<readonly string[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,ppid=,stat=,args=']);
  const lines = stdout.split('\n').map((line) => line.trim().split(/\s+/));
  return lines.filter(([, parent, stat]) => parent === String(pid) && !stat?.startsWith('Z')).map(([id]) => id!);
}

function isAlive(pid: number | string): boolean {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
}

/** Ends once none of these processes is left, or says which are. */
async function allGone(pids: readonly (number | string)[]): Promise<readonly (number | string)[]> {
  for (const giveUpAt = performance.now() + 3_000; pids.some(isAlive) && performance.now() < giveUpAt;) {
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
  return pids.filter(isAlive);
}

async function taken(): Promise<Server & { readonly port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

async function outcome(demo: DemoProcess): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const { code } = await demo.exited;
  return { code, stdout: demo.stdout, stderr: demo.stderr };
}

describe('start and stop', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('is ready within 5 s, and %s ends it within 5 s with nothing left', async (signal) => {
    const since = performance.now();
    await using demo = await DemoProcess.ready();
    expect(performance.now() - since).toBeLessThan(5_000);
    const pids = [demo.pid, ...(await childrenOf(demo.pid))];
    expect(pids.length).toBeGreaterThan(1);
    const stopping = performance.now();
    demo.signal(signal);
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - stopping).toBeLessThan(5_000);
    expect(await allGone(pids)).toEqual([]);
    expect(demo.stderr).toBe('');
  });

  test('the log names each step, in order', async () => {
    await using demo = await DemoProcess.ready(['--nodes', '3', '--shards', '16']);
    await demo.stop();
    const steps = demo.lines.map(({ msg }) => msg).filter((msg) => !/^(try: |this NATS server lacks security fixes)/.test(msg));
    expect(steps).toEqual([
      'prometheus metrics server starting',
      'NATS ready',
      ...['starting node', 'starting node', 'starting node'],
      'HTTP server starting',
      '=== Counter Demo Ready ===',
      'shutting down...',
    ]);
    expect(demo.lines.filter(({ msg }) => msg.startsWith('try: curl '))).toHaveLength(3);
    expect(demo.lines.find(({ msg }) => msg === 'NATS ready')).toMatchObject({ url: expect.stringMatching(/^nats:/), source: 'path' });
    const nodes = demo.lines.filter(({ msg }) => msg === 'starting node');
    expect(nodes.map(({ nodeId, shardCount }) => [nodeId, shardCount])).toEqual([0, 1, 2].map((index) => [`node-${index}`, 16]));
  });

  test('keep-alive connections under load do not delay the end', async () => {
    await using demo = await DemoProcess.ready();
    const load = new HttpLoad({ url: demo.url, ids: ['a'], connections: 20 });
    await load.more(200);
    const { code, tookMs } = await demo.stop();
    expect([code, tookMs < 5_000]).toEqual([0, true]);
    await load.stop();
    load.close();
  });

  test('a rejection that nobody handles is logged in one line, and ends it with 70 when what is under way is answered', async () => {
    const hook = 'process.on("SIGUSR2", () => void Promise.reject(new Error("left alone")))';
    await using demo = await DemoProcess.ready(['--embedded'], {
      nodeArgs: ['--import', `data:text/javascript,${encodeURIComponent(hook)}`],
    });
    expect((await send(demo.url, { method: 'POST', path: '/counter/a/increment' })).status).toBe(200);
    demo.signal('SIGUSR2');
    expect(await demo.exited).toEqual({ code: 70, signal: null });
    const [told, ...others] = demo.lines.filter(({ msg }) => msg === 'an error that nobody caught');
    expect(told).toMatchObject({ level: 60, origin: 'unhandledRejection', err: { message: 'left alone' } });
    expect([others, demo.stderr]).toEqual([[], '']);
    expect(demo.lines.map(({ msg }) => msg)).toContain('shutting down...');
  });

  test('a second signal ends it at once, with all that it started', async () => {
    await using demo = await DemoProcess.ready(['--processes', '--nodes', '2']);
    const pids = [demo.pid, ...(await childrenOf(demo.pid))];
    const [, frozen] = pids.slice(-2);
    process.kill(Number(frozen), 'SIGSTOP');
    demo.signal('SIGINT');
    await demo.line('shutting down...');
    await new Promise((resolve) => void setTimeout(resolve, 500));
    const since = performance.now();
    demo.signal('SIGINT');
    expect(await demo.exited).toEqual({ code: 130, signal: null });
    expect(performance.now() - since).toBeLessThan(1_000);
    expect(await allGone(pids)).toEqual([]);
  });

  test('the processes of a demo that is killed end by themselves', async () => {
    const cluster = freshCluster();
    await using demo = await DemoProcess.ready(['--processes', '--nodes', '2', '--no-supervisor', '--cluster', cluster]);
    const pids = [demo.pid, ...(await childrenOf(demo.pid))];
    expect(pids).toHaveLength(4);
    demo.signal('SIGKILL');
    await demo.exited;
    expect(await allGone(pids)).toEqual([]);
    const { stderr } = await outcome(new DemoProcess('node-main', ['--id', 'node-7', '--cluster', cluster]));
    expect(stderr).toContain(`no demo of cluster "${cluster}" runs`);
    rmSync(announced(cluster));
  });

  test('a signal that comes twice at once, as by Ctrl-C under npm, is one', async () => {
    await using demo = await DemoProcess.ready();
    demo.signal('SIGINT');
    demo.signal('SIGINT');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
  });
});

describe('settings', () => {
  test('--help shows every flag with its variable and default', async () => {
    const { code, stdout, stderr } = await outcome(new DemoProcess('main', ['--help']));
    expect([code, stderr]).toEqual([0, '']);
    for (const shown of [
      ...[/--nodes .*COUNTER_NODES +7/, /--shards .*COUNTER_SHARDS +64/, /--cluster .*COUNTER_CLUSTER +counter/],
      ...[/--http-port .*COUNTER_HTTP_PORT +8181/, /--metrics-port .*COUNTER_METRICS_PORT +2121/, /--nats-url .*NATS_URL/],
      ...[/--processes /, /--no-supervisor /, /--embedded /, /--host /, /--log-level /],
    ]) {
      expect(stdout).toMatch(shown);
    }
    expect((await outcome(new DemoProcess('node-main', ['-h']))).stdout).toMatch(/--id .*COUNTER_NODE_ID/);
  });

  test.each([
    [['--http-port', 'x'], {}, /httpPort.*--http-port.*"x" is not an integer from 0 to 65535/],
    [['--http-port=65536'], {}, /httpPort.*65535/],
    [['--nodes', '0'], {}, /nodes.*--nodes/],
    [['--cluster', 'a b'], {}, /cluster.*--cluster/],
    [['--log-level', 'loud'], {}, /logLevel.*--log-level.*debug, info, warn, error/],
    [['--shard', '5'], {}, /--shard/],
    [['--nodes'], {}, /--nodes/],
    [['extra'], {}, /extra/],
    [[], { COUNTER_SHARDS: '0' }, /shards.*COUNTER_SHARDS/],
    [[], { COUNTER_METRICS_PORT: 'a' }, /metricsPort.*COUNTER_METRICS_PORT/],
    [[], { COUNTER_PROCESSES: 'maybe' }, /processes.*COUNTER_PROCESSES/],
  ])('%j %j is refused with its name', async (args, env, message) => {
    const { code, stdout, stderr } = await outcome(new DemoProcess('main', args, { env }));
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('a taken port is an error that names it', async () => {
    const holder = await taken();
    const { port } = holder;
    for (const [flag, other] of [
      ['--http-port', '--metrics-port'],
      ['--metrics-port', '--http-port'],
    ] as const) {
      const demo = new DemoProcess('main', [flag, String(port), other, '0', '--cluster', freshCluster()]);
      const { code, stderr } = await outcome(demo);
      expect(code).toBe(1);
      expect(stderr).toMatch(new RegExp(`^the .* server cannot listen on 127\\.0\\.0\\.1:${port}: port ${port} is already in use\n$`));
    }
    holder.close();
  });

  test('an old Node says so in one line', async () => {
    const pretend = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'22.18.0'})`;
    for (const program of ['main', 'node-main'] as const) {
      const { code, stdout, stderr } = await outcome(new DemoProcess(program, [], { nodeArgs: ['--import', pretend] }));
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/^.*needs Node 24 or newer; this is Node 22\.18\.0\.\n$/);
    }
  });
});

describe('NATS', () => {
  test('a server in NATS_URL is used, its password is not shown, and it is left running', async () => {
    await using server = await startNatsServer({ config: 'authorization { user: demo, password: "s3cret" }' });
    const url = server.url.replace('nats://', 'nats://demo:s3cret@');
    await using demo = await DemoProcess.ready(['--processes', '--nodes', '2'], { env: { NATS_URL: url } });
    expect(await demo.line('NATS ready')).toMatchObject({ url: server.url, source: 'NATS_URL' });
    await send(demo.url, { method: 'POST', path: '/counter/a/increment' });
    expect((await demo.stop()).code).toBe(0);
    expect(demo.stdout + demo.stderr).not.toContain('s3cret');
    expect(server.running).toBe(true);
  });

  test('a server in NATS_URL that does not answer is an error', async () => {
    const holder = await taken();
    const { port } = holder;
    holder.close();
    const demo = new DemoProcess('main', [...freePorts, '--cluster', freshCluster()], { env: { NATS_URL: `127.0.0.1:${port}` } });
    const { code, stderr } = await outcome(demo);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`127\\.0\\.0\\.1:${port}.*NATS_URL`));
  });

  test('without NATS the requests stay in the process, and the log warns', async () => {
    await using demo = await DemoProcess.ready(['--embedded']);
    expect(await demo.line('NATS ready')).toMatchObject({ source: 'embedded' });
    expect(demo.lines.find(({ level }) => level === 40)?.msg).toContain('no NATS');
    for (const value of [1, 2, 3]) {
      const { body } = await send(demo.url, { method: 'POST', path: '/counter/a/increment' });
      expect(JSON.parse(body)).toEqual({ counter_id: 'a', value });
    }
    expect((await send(demo.url, { path: '/health' })).status).toBe(200);
    expect((await demo.stop()).code).toBe(0);
    const { code, stderr } = await outcome(new DemoProcess('main', [...freePorts, '--embedded', '--processes']));
    expect([code, stderr.includes('--processes')]).toEqual([1, true]);
  });
});

describe('npm run node', () => {
  test('refuses where no demo runs, and where one runs that cannot be joined', async () => {
    const cluster = freshCluster();
    const alone = await outcome(new DemoProcess('node-main', ['--id', 'node-7', '--cluster', cluster]));
    expect([alone.code, alone.stderr.includes(`no demo of cluster "${cluster}" runs`)]).toEqual([1, true]);
    await using demo = await DemoProcess.ready(['--embedded', '--cluster', cluster]);
    const refused = await outcome(new DemoProcess('node-main', ['--id', 'node-7', '--cluster', cluster]));
    expect([refused.code, refused.stderr.includes('without NATS')]).toEqual([1, true]);
    await demo.stop();
    expect(existsSync(announced(cluster))).toBe(false);
  });

  test('needs an id, and takes none that is malformed', async () => {
    expect(await outcome(new DemoProcess('node-main', []))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/id.*COUNTER_NODE_ID/),
    });
    expect(await outcome(new DemoProcess('node-main', ['--id', 'a b']))).toMatchObject({ code: 2, stderr: expect.stringMatching(/--id/) });
  });

  test('finds the demo, takes its share, and leaves', async () => {
    const cluster = freshCluster();
    await using demo = await DemoProcess.ready(['--cluster', cluster, '--nodes', '3', '--shards', '32']);
    expect(existsSync(announced(cluster))).toBe(true);
    const node = new DemoProcess('node-main', ['--id', 'node-7', '--cluster', cluster, '--log-level', 'debug']);
    expect(await node.line('starting node')).toMatchObject({ nodeId: 'node-7', shardCount: 32 });
    await node.line('node joined the cluster');
    expect((await node.stop()).code).toBe(0);
    expect((await demo.stop()).code).toBe(0);
    expect(existsSync(announced(cluster))).toBe(false);
  });
});
