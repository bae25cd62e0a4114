import { startNatsServer } from '@perkey/nats/dev';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { examples } from '../examples/counter/src/routes.ts';
import { codeBlocks } from './docs/code-blocks.ts';

const root = dirname(import.meta.dirname);
const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');

let readme: string;
let scripts: Readonly<Record<string, string>>;
beforeAll(async () => {
  readme = await read('README.md');
  ({ scripts } = JSON.parse(await read('package.json')) as { scripts: Readonly<Record<string, string>> });
});

interface Ended {
  readonly code: number;
  readonly output: string;
}

/** Runs to the end, however that is. */
function run(command: string, args: readonly string[], cwd: string = root, env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr });
    });
  });
}

describe('the programs of the pages', () => {
  let folder: string;
  const withSource = ['--conditions=@perkey/source'];
  const start = (file: string, env: NodeJS.ProcessEnv): ChildProcess =>
    spawn(process.execPath, [...withSource, file], { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });

  beforeAll(async () => {
    const cache = join(root, '.cache');
    await mkdir(cache, { recursive: true });
    folder = await mkdtemp(join(cache, 'readme-'));
    for (const [name, text] of await programs()) await writeFile(join(folder, name), text);
    // What a page starts it need not use.
    const config = { extends: join(root, 'tsconfig.json'), compilerOptions: { noUnusedLocals: false }, include: ['*.ts'], exclude: [] };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('have the types that they need', async () => {
    const { output } = await run('tsc', ['-p', '.', '--pretty', 'false'], folder);
    // Faults of the sources are for the check of the types.
    expect(output.split('\n').filter((line) => line !== '' && !line.startsWith('..') && !line.startsWith(' '))).toEqual([]);
  });

  test('of the first screen run: a node, and a caller in another process', async () => {
    await using server = await startNatsServer();
    const env = { NATS_URL: server.url };
    const node = start('node.ts', env);
    const ended = once(node, 'exit');
    try {
      const [line] = (await once(createInterface({ input: node.stdout! }), 'line')) as [string];
      expect(line).toMatch(/^node-\w+ is ready$/);
      for (const expected of ['5\n', '10\n']) {
        const caller = await run(process.execPath, [...withSource, 'caller.ts'], folder, { ...process.env, ...env });
        expect(caller).toEqual({ code: 0, output: expected });
      }
    } finally {
      node.kill('SIGTERM');
    }
    expect(await ended).toEqual([0, null]);
  });

  test('of the configuration page run: a node that is killed is back at once, and its actors start anew', async () => {
    await using server = await startNatsServer();
    const env = { NATS_URL: server.url, NODE_OPTIONS: withSource.join(' ') };
    const call = (): Promise<Ended> => run(process.execPath, ['caller.ts'], folder, { ...process.env, ...env });
    const supervisor = start('supervisor.ts', env);
    const ended = once(supervisor, 'exit');
    try {
      const lines = createInterface({ input: supervisor.stdout! })[Symbol.asyncIterator]();
      const nextPid = async (): Promise<number> => Number(/^node-1 runs as process (\d+)$/.exec(String((await lines.next()).value))?.[1]);
      const pid = await nextPid();
      expect(await call()).toEqual({ code: 0, output: '5\n' });
      process.kill(pid, 'SIGKILL');
      expect(await call()).toEqual({ code: 0, output: '5\n' });
      expect(await nextPid()).not.toBe(pid);
    } finally {
      supervisor.kill('SIGTERM');
    }
    expect(await ended).toEqual([0, null]);
  });

  test('of the second example run without a server and without real time', async () => {
    expect(await run(process.execPath, [...withSource, 'seat.check.ts'], folder)).toEqual({ code: 0, output: 'the seat is free again\n' });
  });

  test('of the page on testing run: a sound history is accepted, a forged one is not', async () => {
    const { code, output } = await run(process.execPath, [...withSource, 'history.check.ts'], folder);
    expect({ code, output }).toEqual({ code: 0, output: 'rejected linearizable\n' });
  });

  test('of the page on testing run: a cluster is simulated under faults', async () => {
    const { code, output } = await run(process.execPath, [...withSource, 'simulation.check.ts'], folder);
    expect({ code, output }).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^\d+ faults, \d+ times a shard got an owner\n$/) as string,
    });
  });

  test('of the page on event sourcing run: rules are tested without a cluster', async () => {
    const { code, output } = await run(process.execPath, [...withSource, 'account.check.ts'], folder);
    expect({ code, output }).toEqual({ code: 0, output: 'the rules of accounts hold\n' });
  });

  test('of the page on event sourcing run: what is stored is read, verified and kept for later code', async () => {
    const { code, output } = await run(process.execPath, [...withSource, 'past.check.ts'], folder);
    const opened = "acc-1 1 AccountOpened { owner: 'ann' }";
    expect({ code, output }).toEqual({ code: 0, output: `${opened}\nacc-1 2 MoneyDeposited { cents: 500n }\n` });
  });

  test('of the page on outboxes and reminders run: what was asked for comes, though nobody calls', async () => {
    const { code, output } = await run(process.execPath, [...withSource, 'invoices.check.ts'], folder);
    expect({ code, output }).toEqual({ code: 0, output: 'invoices.dunned,invoices.paid\n' });
  });

  test('of a package page runs', async () => {
    expect(await run(process.execPath, [...withSource, 'packages-core-README.ts'], folder)).toEqual({ code: 0, output: '5\n' });
  });
});

/** The TypeScript of all pages by file name: what its first line says, or else the page's. */
async function programs(): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const pages = ['README.md'];
  for await (const path of glob(['docs/*.md', 'packages/*/README.md'], { cwd: root })) pages.push(path);
  for (const page of pages) {
    for (const { language, text } of codeBlocks(await read(page))) {
      if (language !== 'ts') continue;
      const name = /^\/\/ ([\w.-]+\.ts)\b/.exec(text)?.[1] ?? page.replace(/\.md$/, '.ts').replaceAll('/', '-');
      expect(found.has(name), `${page} has a second ${name}`).toBe(false);
      found.set(name, text);
    }
  }
  return found;
}

describe('the commands', () => {
  /** `npm run <name>`, `npm test` and `npm ci`, each without what follows. */
  const commandsIn = (text: string): ReadonlySet<string> =>
    new Set([...text.matchAll(/\bnpm (?:run [a-z][\w:]*|test\b|ci\b)/g)].map(([command]) => command));

  test('in the table are all that package.json has, and no others', () => {
    const rows = [...readme.matchAll(/^\| `(npm [^`]+)` \| .+ \|$/gm)].map(([, command]) => command as string);
    const table = rows.filter((command) => commandsIn(command).has(command));
    const known = Object.keys(scripts).map((name) => (name === 'test' ? 'npm test' : `npm run ${name}`));
    expect(table.toSorted()).toEqual(['npm ci', ...known].toSorted());
  });

  test('of the first screen are those that .ci/run and a newcomer type', async () => {
    const ci = await read('.ci/run');
    expect(ci).toContain("readonly readme_command='npm ci && npm test'");
    const lines = readme.split('\n');
    for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) {
      expect(lines.indexOf(command), command).toBeGreaterThan(0);
      expect(lines.indexOf(command), command).toBeLessThan(100);
    }
    for (const command of commandsIn(ci)) expect(commandsIn(readme), `.ci/run calls ${command}`).toContain(command);
  });

  test('on any page exist', async () => {
    const pages = [readme, await read('CHANGELOG.md')];
    for await (const path of glob(['docs/*.md', 'packages/**/README.md'], {
      cwd: root,
      exclude: (name) => name.includes('node_modules'),
    })) {
      pages.push(await read(path));
    }
    for (const command of pages.flatMap((text) => [...commandsIn(text)])) {
      const script = /^npm (?:run )?(.+)$/.exec(command)?.[1] ?? '';
      expect(script === 'ci' || Object.hasOwn(scripts, script), command).toBe(true);
    }
  });

  test('to try the demo are those that the demo itself names', () => {
    for (const line of examples(8181)) expect(readme.split('\n')).toContain(line);
  });

  test.each(['demo', 'demo:accounting', 'demo:bank:gateway', 'demo:bank:handler', 'node', 'bench'])(
    'npm run %s explains itself, with each flag that the pages use',
    async (name) => {
      const { code, output } = await run('npm', ['run', '--silent', name, '--', '--help']);
      expect(code).toBe(0);
      expect(output).toContain(`npm run ${name}`);
      const texts = [readme, await read('docs/configuration.md'), await read('docs/guarantees.md'), await read('packages/README.md')];
      const used = texts.flatMap((text) =>
        [...text.matchAll(new RegExp(`npm run ${name} -- ([^\`\\n]*)`, 'g'))].map(([, flags = '']) => flags),
      );
      for (const flag of used.flatMap((flags) => flags.match(/--[a-z-]+/g) ?? [])) {
        if (flag !== '--help') expect(output).toContain(flag);
      }
      if (name === 'bench')
        for (const [bench = ''] of used.flatMap((flags) => flags.match(/^[a-z]+/) ?? []).map((one) => [one]))
          expect(output).toContain(`  ${bench} `);
    },
  );
});
