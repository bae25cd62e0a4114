import { clusterStreams, startNatsServer } from '@perkey/nats/dev';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { DemoProcess, type ProgramOptions } from './support/demo-process.ts';

interface Outcome {
  readonly code: number | null;
  readonly demo: DemoProcess;
  /** The last balance of each account. */
  readonly balances: Readonly<Record<string, unknown>>;
}

async function runDemo(args: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  await using demo = new DemoProcess('accounting', args, options);
  const { code } = await demo.exited;
  const balances = demo.lines.filter(({ msg }) => msg === 'get balance').map(({ account, balance }) => [account, balance]);
  return { code, demo, balances: Object.fromEntries(balances) as Outcome['balances'] };
}

/** What is left of runs in the folder for passing files. */
async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string; left(): Promise<readonly string[]> }> {
  const path = await mkdtemp(join(tmpdir(), 'accounting-test-'));
  return { path, left: () => readdir(path), [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const steps = [
  '=== Demo: Event-Sourced Bank Accounts ===',
  'opening accounts...',
  ...['opened account', 'opened account', 'opened account'],
  'performing transactions...',
  ...['deposited', 'withdrew', 'deposited'],
  'querying final balances...',
  ...['get balance', 'get balance', 'get balance'],
  'demo complete, shutting down...',
];

describe('npm run demo:accounting', { timeout: 60_000 }, () => {
  test.each(['jetstream', 'sqlite', 'memory'])(
    'with --store %s tells its story, rebuilds the balances, and leaves nothing',
    async (store) => {
      await using folder = await temporaryFolder();
      const { code, demo, balances } = await runDemo(['--store', store], { env: { TMPDIR: folder.path } });
      expect([code, demo.stderr]).toEqual([0, '']);
      expect(demo.lines.map(({ msg }) => msg).filter((msg) => steps.includes(msg))).toEqual(steps);
      expect(balances).toEqual({ alice: '150', bob: '70', charlie: '300' });
      expect(demo.lines.filter(({ msg }) => msg === 'starting node')).toHaveLength(6);
      for (const account of ['alice', 'bob', 'charlie']) {
        const nodes = demo.lines.filter((line) => line['account'] === account).map(({ node }) => node);
        expect(nodes.length).toBeGreaterThan(2);
        expect([...new Set(nodes)]).toEqual([expect.stringMatching(/^node-[012]$/)]);
      }
      expect(await folder.left()).toEqual([]);
    },
  );

  test('on a server that goes on nothing is left without --keep, and --keep goes on with what is there', async () => {
    await using server = await startNatsServer();
    const env = { NATS_URL: server.url };
    const cluster = { servers: server.url, cluster: 'accounting' };
    expect((await runDemo([], { env })).balances).toEqual({ alice: '150', bob: '70', charlie: '300' });
    expect(await clusterStreams(cluster)).toEqual([]);
    expect((await runDemo(['--keep'], { env })).code).toBe(0);
    expect(await clusterStreams(cluster)).toHaveLength(6);
    const second = await runDemo(['--keep'], { env });
    expect([second.code, second.balances]).toEqual([0, { alice: '200', bob: '40', charlie: '500' }]);
    expect(second.demo.lines.filter(({ msg }) => msg === 'account is open already')).toHaveLength(3);
    const refused = await runDemo([], { env });
    expect([refused.code, refused.demo.stderr]).toEqual([1, expect.stringMatching(/holds a history of cluster accounting .*--keep/)]);
    expect(await clusterStreams(cluster)).toHaveLength(6);
  });

  test.each(['jetstream', 'sqlite'])('with --store %s --keep a second run goes on, without a server of the user', async (store) => {
    await using folder = await temporaryFolder();
    const env = { ACCOUNTING_FOLDER: folder.path };
    const balances: unknown[] = [];
    for (let run = 0; run < 2; run += 1) {
      const outcome = await runDemo(['--store', store, '--keep'], { env });
      expect(outcome.code).toBe(0);
      balances.push(outcome.balances);
    }
    expect(balances).toEqual([
      { alice: '150', bob: '70', charlie: '300' },
      { alice: '200', bob: '40', charlie: '500' },
    ]);
  });
});

describe('settings', () => {
  test('--help shows every flag', async () => {
    const { code, demo } = await runDemo(['--help']);
    expect(code).toBe(0);
    for (const shown of ['npm run demo:accounting', '--store', '--keep', '--nats-url', '--log-level']) expect(demo.stdout).toContain(shown);
  });

  test.each([
    [['--store', 'paper'], 2, /store.*--store.*jetstream, sqlite, memory/],
    [['--store', 'memory', '--keep'], 1, /--keep: the store memory ends with this process/],
  ])('%j is refused', async (args, wanted, message) => {
    const { code, demo } = await runDemo(args);
    expect([code, demo.stderr]).toEqual([wanted, expect.stringMatching(message)]);
  });
});
