import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/**
 * Packs every package, checks the tarballs, installs them into an empty folder as a user would, and imports and
 * type-checks each door there with the Node that runs this. Exits with 1 at the first thing that does not hold.
 */
const root = dirname(dirname(import.meta.dirname));
const bin = join(root, 'node_modules/.bin');
const commandMsMax = 180_000;

interface Packed {
  readonly name: string;
  readonly doors: readonly string[];
  readonly tarball: string;
}

/** Runs to the end and returns the standard output; rejects with everything that was written when it fails. */
function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const path = `${dirname(process.execPath)}${delimiter}${bin}${delimiter}${process.env['PATH'] ?? ''}`;
  const options = { cwd, env: { ...process.env, PATH: path }, timeout: commandMsMax, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error }));
    });
  });
}

async function packageFolders(): Promise<readonly string[]> {
  const names = await readdir(join(root, 'packages'), { withFileTypes: true });
  return names.filter((entry) => entry.isDirectory()).map((entry) => join(root, 'packages', entry.name));
}

/** A build from nothing, so that no output of a source that is gone gets packed. */
async function build(folders: readonly string[]): Promise<void> {
  for (const folder of folders) await rm(join(folder, 'dist'), { recursive: true, force: true });
  await run('tsc', ['-b', 'tsconfig.build.json'], root);
}

async function pack(folder: string, into: string): Promise<Packed> {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { name: string; exports: Record<string, unknown> };
  const [packed] = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', into], folder)) as [
    { filename: string; files: { path: string }[] },
  ];
  const stray = packed.files.map((file) => file.path).filter((path) => /\.test\.|\.tsbuildinfo$/.test(path));
  if (stray.length > 0) throw new Error(`${manifest.name} packs what is not for users: ${stray.join(', ')}`);
  if (!packed.files.some((file) => file.path === 'LICENSE')) throw new Error(`${manifest.name} packs no licence`);
  return { name: manifest.name, doors: Object.keys(manifest.exports), tarball: join(into, packed.filename) };
}

async function install(packages: readonly Packed[], folder: string): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }));
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  await run('npm', ['install', ...quiet, ...packages.map((one) => one.tarball)], folder);
}

const specifiers = (packages: readonly Packed[]): readonly string[] =>
  packages.flatMap(({ name, doors }) => doors.map((door) => name + door.slice(1)));

/** What a door exports where it is imported from `folder`. */
async function exported(specifier: string, folder: string, conditions: readonly string[]): Promise<string> {
  const program = `const door = await import(${JSON.stringify(specifier)}); console.log(Object.keys(door).sort().join(' '));`;
  const output = await run(process.execPath, [...conditions, '--input-type=module', '--eval', program], folder);
  return output.trim();
}

/** The installed build must offer what the sources offer: nothing missing, nothing stale. */
async function importDoor(specifier: string, folder: string): Promise<void> {
  const [installed, source] = [await exported(specifier, folder, []), await exported(specifier, root, ['--conditions=@perkey/source'])];
  if (installed !== source || installed === '') throw new Error(`${specifier} exports "${installed}", its source "${source}"`);
}

/** The declarations must hold by themselves, with nothing but the declared dependencies and the types of Node. */
async function typecheck(doors: readonly string[], folder: string): Promise<void> {
  await mkdir(join(folder, 'node_modules/@types'), { recursive: true });
  for (const name of ['@types/node', 'undici-types']) {
    const target = join(folder, 'node_modules', name);
    await rm(target, { recursive: true, force: true });
    await symlink(await realpath(join(root, 'node_modules', name)), target);
  }
  const lines = doors.flatMap((door, index) => [`import * as door${index} from '${door}';`, `console.log(door${index});`]);
  await writeFile(join(folder, 'user.ts'), `${lines.join('\n')}\n`);
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024'];
  await run('tsc', [...options, '--lib', 'es2024,esnext.disposable', '--types', 'node', 'user.ts'], folder);
}

async function main(): Promise<void> {
  const work = await mkdtemp(join(await realpath(tmpdir()), 'perkey-packages-'));
  const step = async <T>(name: string, running: Promise<T>): Promise<T> => {
    const result = await running;
    console.log(`ok  ${name}`);
    return result;
  };
  try {
    const folders = await packageFolders();
    await step('build from nothing', build(folders));
    const packages: Packed[] = [];
    for (const folder of folders) packages.push(await pack(folder, work));
    for (const { name, tarball } of packages) {
      await step(`publint ${name}`, run('publint', ['run', tarball, '--strict'], work));
      await step(`attw ${name}`, run('attw', [tarball, '--profile', 'esm-only', '--no-emoji', '--format', 'ascii'], work));
    }
    const user = join(work, 'user');
    await step('install the tarballs into an empty folder', install(packages, user));
    for (const specifier of specifiers(packages)) await step(`import ${specifier}`, importDoor(specifier, user));
    await step('the declarations hold for a user', typecheck(specifiers(packages), user));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(`not ok  ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
