import { PerkeyError } from '@perkey/core';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readAptSources, type AptSource } from './apt-sources.ts';
import { withLock } from './cache-lock.ts';
import { findOnPath } from './find-on-path.ts';
import { PrivateApt, type PrivateAptOptions } from './private-apt.ts';
import { natsServerCacheDir } from './project-cache.ts';
import { runProgram } from './run-program.ts';

export interface ArchiveOptions {
  /** Default: `.cache/nats-server` under the root of the project of the working directory. */
  readonly cacheDir?: string | undefined;
  /** `system` (default): the version that the system itself would install. `newest`: the newest of any suite of the archive (Debian). */
  readonly version?: 'system' | 'newest' | undefined;
}

/** Time for another process to finish the same work, and for a program to say its version. */
const lockTimeoutMs = 240_000;
const versionTimeoutMs = 10_000;

/** In one archive the same file serves several suites; every version gets one priority, so that the highest wins. */
const preferHighest = 'Package: *\nPin: version *\nPin-Priority: 990\n';

/**
 * The path of a nats-server from the system's package archive, unpacked into the cache and kept there; the system itself is not changed.
 * Debian and Ubuntu. Takes seconds the first time. Rejects with `nats_server.not_found` and the reason.
 */
export async function natsServerFromArchive(options: ArchiveOptions = {}): Promise<string> {
  const version = options.version ?? 'system';
  const dir = join(options.cacheDir ?? natsServerCacheDir(), `${version}-${process.arch}`);
  const binary = join(dir, 'nats-server');
  if (await runs(binary)) return binary;
  try {
    if ((await findOnPath('apt-get', process.env)) === undefined) throw new Error('there is no apt-get on this system');
    await mkdir(dir, { recursive: true });
    await withLock(dir, lockTimeoutMs, async () => {
      if (!(await runs(binary))) await fetchServer(dir, version, binary);
    });
    return binary;
  } catch (error) {
    throw new PerkeyError('nats_server.not_found', `no nats-server from the package archive: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function fetchServer(dir: string, version: 'system' | 'newest', binary: string): Promise<void> {
  const work = join(dir, 'fetching');
  await rm(work, { recursive: true, force: true });
  try {
    const file = version === 'system' ? await downloadSystems(work) : await downloadNewest(work);
    const unpacked = join(work, 'unpacked');
    const { code, stderr } = await runProgram('dpkg-deb', ['-x', file, unpacked], { timeoutMs: 60_000 });
    if (code !== 0) throw new Error(`dpkg-deb could not unpack it: ${stderr.trim()}`);
    const program = await firstFile([join(unpacked, 'usr/sbin/nats-server'), join(unpacked, 'usr/bin/nats-server')]);
    if (program === undefined) throw new Error('the package holds no nats-server');
    if (!(await runs(program))) throw new Error('the nats-server of the package does not run here');
    await rename(program, binary);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** With the lists that the system has; where these are missing or too old, with own ones. */
async function downloadSystems(work: string): Promise<string> {
  const first = new PrivateApt({ dir: join(work, 'system-lists'), lists: 'system', sources: undefined });
  try {
    return await first.download('nats-server');
  } catch {
    return updateAndDownload({ dir: join(work, 'own-lists'), lists: 'own', sources: undefined });
  }
}

/** Exported for its test: what happens on a system that never ran `apt-get update`. */
export async function updateAndDownload(options: PrivateAptOptions): Promise<string> {
  const apt = new PrivateApt(options);
  const complaints = await apt.update();
  try {
    return await apt.download('nats-server');
  } catch (error) {
    throw new Error([complaints, (error as Error).message].filter((text) => text !== '').join('; '), { cause: error });
  }
}

async function downloadNewest(work: string): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const codename = release.match(/^VERSION_CODENAME="?([\w-]+)/m)?.[1];
  if (!/^ID="?debian"?$/m.test(release) || codename === undefined) throw new Error('the newest version is only looked for on Debian');
  const list = newestSources(await readAptSources(), codename);
  if (list.length === 0) throw new Error(`no package source for ${codename} was found in /etc/apt`);
  return updateAndDownload({ dir: join(work, 'newest'), lists: 'own', sources: { list, preferences: preferHighest } });
}

/** Lines for every suite of the archives that the system takes its own main packages from; a suite that an archive lacks does no harm. */
function newestSources(sources: readonly AptSource[], codename: string): readonly string[] {
  const suites = [codename, `${codename}-backports`, 'stable', 'stable-backports', 'testing', 'unstable', 'experimental'];
  const lines = sources
    .filter((source) => source.suite === codename && source.components.includes('main'))
    .flatMap(({ uri, signedBy }) =>
      suites.map((suite) => `deb ${signedBy === undefined ? '' : `[signed-by=${signedBy}] `}${uri} ${suite} main`),
    );
  return [...new Set(lines)];
}

async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() === true) return path;
  }
  return undefined;
}

/** Whether the program is there and runs on this machine. */
async function runs(binary: string): Promise<boolean> {
  const { code, stdout } = await runProgram(binary, ['--version'], { timeoutMs: versionTimeoutMs });
  return code === 0 && stdout.includes('nats-server');
}
