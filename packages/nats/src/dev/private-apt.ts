import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from './run-program.ts';

export interface PrivateAptOptions {
  /** An empty or missing folder for everything that apt writes. */
  readonly dir: string;
  /** Whether to use the package lists that the system has, or own ones, which `update` must fetch first. */
  readonly lists: 'system' | 'own';
  /** Lines for sources and preferences instead of the system's; undefined: the system's. */
  readonly sources: { readonly list: readonly string[]; readonly preferences: string } | undefined;
}

const updateTimeoutMs = 120_000;
const downloadTimeoutMs = 60_000;

/** Parts of an update that only tell about packages; left out, since they are much larger than the lists themselves. */
const leftOut = ['Translations', 'DEP-11', 'DEP-11-icons', 'DEP-11-icons-small', 'DEP-11-icons-hidpi', 'DEP-11-icons-large'];
const leftOutMore = ['DEP-11-icons-large-hidpi', 'Contents-deb', 'Contents-deb-legacy', 'CNF'];

/**
 * The system's apt with its proxies, credentials, keys and signature checks, but with state and cache in a folder of ours, and without the
 * system's hooks that would run after an update. It changes nothing outside of that folder and needs no privileges.
 */
export class PrivateApt {
  readonly #options: PrivateAptOptions;

  constructor(options: PrivateAptOptions) {
    this.#options = options;
  }

  /** Fetches the lists. That a part of them failed is no error: what counts is whether the package is found then. Returns apt's complaints. */
  async update(): Promise<string> {
    const { stderr } = await this.#run(['update'], this.#options.dir, updateTimeoutMs);
    return reason(stderr);
  }

  /** Downloads the package into the folder and returns the path of the file; rejects with apt's reason. */
  async download(packageName: string): Promise<string> {
    const into = join(this.#options.dir, 'package');
    await mkdir(into, { recursive: true });
    const { code, stderr } = await this.#run(['download', packageName], into, downloadTimeoutMs);
    const file = (await readdir(into)).find((name) => name.endsWith('.deb'));
    if (code !== 0 || file === undefined) throw new Error(reason(stderr) || `apt-get download ended with ${code}`);
    return join(into, file);
  }

  async #run(args: readonly string[], cwd: string, timeoutMs: number): Promise<{ code: number; stderr: string }> {
    const file = await this.#writeConfig();
    return runProgram('apt-get', ['-c', file, '-q', ...args], { cwd, timeoutMs });
  }

  async #writeConfig(): Promise<string> {
    const { dir, lists, sources } = this.#options;
    for (const sub of ['state/lists/partial', 'cache/archives/partial', 'etc/parts']) await mkdir(join(dir, sub), { recursive: true });
    await writeFile(join(dir, 'status'), '');
    const quoted = (sub: string): string => JSON.stringify(join(dir, sub));
    const lines = [
      '#clear APT::Update;',
      '#clear Acquire::Languages;',
      'Acquire::Languages "none";',
      ...[...leftOut, ...leftOutMore].map((target) => `#clear Acquire::IndexTargets::deb::${target};`),
      'Acquire::Retries "1";',
      'Acquire::http::Timeout "10";',
      'Acquire::https::Timeout "10";',
      `Dir::Cache ${quoted('cache')};`,
    ];
    if (lists === 'own') lines.push(`Dir::State ${quoted('state')};`);
    lines.push(`Dir::State::status ${quoted('status')};`);
    if (process.getuid?.() === 0) lines.push('APT::Sandbox::User "root";');
    if (sources !== undefined) {
      await writeFile(join(dir, 'etc/sources.list'), `${sources.list.join('\n')}\n`);
      await writeFile(join(dir, 'etc/preferences'), sources.preferences);
      lines.push(`Dir::Etc::sourcelist ${quoted('etc/sources.list')};`, `Dir::Etc::sourceparts ${quoted('etc/parts')};`);
      lines.push(`Dir::Etc::preferences ${quoted('etc/preferences')};`, `Dir::Etc::preferencesparts ${quoted('etc/parts')};`);
    }
    const file = join(dir, 'apt.conf');
    await writeFile(file, `${lines.join('\n')}\n`);
    return file;
  }
}

/** The errors in what apt wrote, in one line; without errors its last line. */
function reason(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const errors = lines.filter((line) => line.startsWith('E: ')).map((line) => line.slice('E: '.length));
  return errors.length > 0 ? errors.join('; ') : (lines.at(-1) ?? '');
}
