import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { innocent, plants } from './tidy/plants.ts';
import { sourceChecks, type Tree } from './tidy/source-checks.ts';

const root = dirname(import.meta.dirname);
const notOurs = new Set(['node_modules', 'dist', '.cache', '.git']);

async function readTree(): Promise<Tree> {
  const tree = new Map<string, string>();
  const visit = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (notOurs.has(entry.name)) continue;
      if (entry.isDirectory()) await visit(path);
      else if (entry.isFile() && !entry.name.endsWith('.tsbuildinfo') && !entry.name.endsWith('.tgz'))
        tree.set(path, await readFile(join(root, path), 'utf8'));
    }
  };
  await visit('');
  return tree;
}

describe('the sources', () => {
  let tree: Tree;
  beforeAll(async () => {
    tree = await readTree();
  });

  const mark = 'fixme'.toUpperCase();
  const linter = 'oxlint';
  /** For each check, a file, the change to it that breaks the check, and how often it must be reported. */
  const breaks: Readonly<Record<string, readonly [path: string, change: (text: string) => string, reports: number]>> = {
    'the top level is closed': ['scratch/notes.txt', () => '', 1],
    'the lockfile names no place to download from': [
      'package-lock.json',
      (text) => text.replace('"node_modules/vitest": {', '$& "resolved": "https://example.org/vitest.tgz",'),
      1,
    ],
    'all packages have one version, and every dependency is exact': [
      'packages/nats/package.json',
      (text) => text.replace('core": "', 'core": "^'),
      1,
    ],
    'each door offers its source first, then its types, then its build': [
      'packages/core/package.json',
      (text) => text.replaceAll('@perkey/source', 'source'),
      3,
    ],
    'each task calls an npm script': ['Taskfile.yml', (text) => text.replace('npm run lint', 'npx oxlint'), 1],
    'nothing is left for later': ['docs/planted.md', () => `one\n\n${mark}: two\n`, 1],
    'a silenced rule has its reason': ['bench/planted.ts', () => `// ${linter}-disable-next-line no-console\n`, 1],
    'a file is at most 400 lines': ['bench/planted.ts', () => '\n'.repeat(401), 1],
    'a file is named after what it holds': ['packages/core/src/base/utils.ts', () => '', 1],
  };

  test.each(sourceChecks)('$name', ({ name, run }) => {
    expect(run(tree)).toEqual([]);
    const [path, change, reports] = breaks[name] ?? expect.fail('there is nothing that breaks this check');
    expect(run(new Map(tree).set(path, change(tree.get(path) ?? '')))).toHaveLength(reports);
  });
});

interface Finding {
  readonly code: string;
  readonly filename: string;
}

function lint(folder: string): Promise<readonly Finding[]> {
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
  return new Promise((resolve, reject) => {
    const options = { cwd: folder, maxBuffer: 64 * 1024 * 1024 };
    execFile(process.execPath, [oxlint, '--type-aware', '--format', 'json'], options, (error, stdout, stderr) => {
      try {
        resolve((JSON.parse(stdout) as { diagnostics: readonly Finding[] }).diagnostics);
      } catch {
        reject(new Error(`oxlint did not run: ${stdout}${stderr}`, { cause: error }));
      }
    });
  });
}

describe('lint, over a copy of its configuration with one violation of each rule', () => {
  let folder: string;
  let findings: readonly Finding[];
  const codesIn = (file: string): readonly string[] => findings.filter(({ filename }) => filename === file).map(({ code }) => code);

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'perkey-tidy-')));
    for (const path of ['.oxlintrc.json', 'package.json', 'tsconfig.json', 'tsconfig.base.json', 'test/tidy']) {
      await cp(join(root, path), join(folder, path), { recursive: true });
    }
    for (const path of ['packages/core', 'packages/nats', 'packages/prometheus', 'examples/counter']) {
      await mkdir(join(folder, path), { recursive: true });
      await cp(join(root, path, 'package.json'), join(folder, path, 'package.json'));
      await cp(join(root, path, 'tsconfig.json'), join(folder, path, 'tsconfig.json')).catch(() => undefined);
    }
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    for (const [file, text] of [...plants.map((plant) => [plant.file, plant.text] as const), ...Object.entries(innocent)]) {
      await mkdir(join(folder, dirname(file)), { recursive: true });
      await writeFile(join(folder, file), text);
    }
    findings = await lint(folder);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each(plants)('$rule reports $file', ({ rule, file }) => {
    expect(codesIn(file)).toContain(rule);
  });

  test.each(Object.keys(innocent))('nothing is reported in %s', (file) => {
    expect(codesIn(file)).toEqual([]);
  });

  test('each rule that the configuration names is planted', async () => {
    type Rules = Readonly<Record<string, unknown>>;
    const config = JSON.parse(await readFile(join(root, '.oxlintrc.json'), 'utf8')) as { rules: Rules; overrides: { rules: Rules }[] };
    const named = [config.rules, ...config.overrides.map(({ rules }) => rules)].flatMap((rules) => Object.entries(rules));
    const on = named.filter(([, level]) => level !== 'off').map(([name]) => (name.includes('/') ? name : `eslint/${name}`));
    const planted = new Set(plants.map(({ rule }) => rule.replace('(', '/').replace(')', '')));
    expect(on.filter((name) => !planted.has(name))).toEqual([]);
  });

  test('no two plants share a file', () => {
    const files = [...plants.map((plant) => plant.file), ...Object.keys(innocent)];
    expect(new Set(files).size).toBe(files.length);
  });
});
