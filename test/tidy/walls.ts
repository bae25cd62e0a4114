import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, posix } from 'node:path';

/** What each folder of packages/core/src may import besides itself. A folder that is not named here may not exist. */
const layers: Readonly<Record<string, readonly string[]>> = {
  base: [],
  contract: ['base'],
  actor: ['base', 'contract'],
  events: ['base', 'contract'],
  memory: ['base', 'contract'],
  durable: ['base', 'contract', 'actor', 'events'],
  cluster: ['base', 'contract', 'actor', 'events', 'durable'],
  client: ['base', 'contract', 'actor', 'events', 'cluster'],
  testkit: ['base', 'contract', 'actor', 'events', 'durable', 'cluster', 'client', 'memory'],
  'index.ts': ['base', 'contract', 'actor', 'events', 'durable', 'cluster', 'client', 'memory'],
  'internal.ts': ['base', 'contract', 'actor', 'events', 'durable', 'cluster', 'client', 'memory'],
  'testing.ts': ['base', 'contract', 'actor', 'events', 'durable', 'cluster', 'client', 'memory', 'testkit'],
};

/** The one package that imports a dependency. Tests of the whole and benches may too: they measure against the bare dependency. */
const soleImporters: readonly { readonly dependency: RegExp; readonly area: string }[] = [
  { dependency: /^@nats-io\//, area: 'packages/nats' },
  { dependency: /^prom-client$/, area: 'packages/prometheus' },
  { dependency: /^node:sqlite$/, area: 'packages/sqlite' },
];

/** The core opens no socket and no file, and starts no process. */
const closedToCore = /^node:(net|tls|dgram|dns|http|https|http2|fs|child_process|cluster|repl|readline|sqlite)(\/|$)/;
/** Time, chance and digests, with the only files that may have them. */
const timeAndChance: Readonly<Record<string, readonly string[]>> = {
  'node:timers': ['packages/core/src/base/clock.ts'],
  'node:timers/promises': ['packages/core/src/base/clock.ts'],
  'node:perf_hooks': ['packages/core/src/base/clock.ts'],
  'node:crypto': ['packages/core/src/base/random.ts', 'packages/core/src/base/digest.ts'],
};

interface Manifest {
  readonly name: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** Says what is wrong with an import, or nothing. `file` is relative to the root, with forward slashes. */
export type WallCheck = (file: string, specifier: string) => string | undefined;

const isTest = (file: string): boolean => /^(test|bench)\//.test(file) || file.endsWith('.test.ts');

/** `packages/core` for a file of that package, `test` for a file of the tests. */
function areaOf(file: string): string {
  const [top = '', name = ''] = file.split('/');
  return top === 'packages' || top === 'examples' ? `${top}/${name}` : top;
}

function readManifests(root: string): ReadonlyMap<string, Manifest> {
  const manifests = new Map<string, Manifest>();
  for (const top of ['packages', 'examples']) {
    const names = existsSync(join(root, top)) ? readdirSync(join(root, top)) : [];
    for (const name of names) {
      const path = join(root, top, name, 'package.json');
      if (existsSync(path)) manifests.set(`${top}/${name}`, JSON.parse(readFileSync(path, 'utf8')) as Manifest);
    }
  }
  return manifests;
}

function checkRelative(file: string, specifier: string): string | undefined {
  const target = posix.join(posix.dirname(file), specifier);
  const [from, to] = [areaOf(file), areaOf(target)];
  if (from !== to) {
    if (to.startsWith('packages/')) return `Import ${to} by its door, not by a path into it.`;
    return isTest(file) ? undefined : `${from} does not reach into ${to}.`;
  }
  if (from !== 'packages/core' || isTest(file)) return undefined;
  const [layer, targetLayer] = [file, target].map((path) => path.split('/')[3] ?? '') as [string, string];
  const allowed = layers[layer];
  if (allowed === undefined) return `test/tidy/walls.ts does not know packages/core/src/${layer}; say there what it may import.`;
  if (layer === targetLayer || allowed.includes(targetLayer)) return undefined;
  return `packages/core/src/${layer} does not import ${targetLayer}; the direction is base <- contract <- actor, events <- durable <- cluster <- client.`;
}

function checkDoor(file: string, door: string, area: string, exports: Readonly<Record<string, unknown>>): string | undefined {
  if (areaOf(file) === area) return `${area} imports its own files by their path.`;
  if (!Object.hasOwn(exports, door)) return `${area} has no door "${door}"; its doors are ${Object.keys(exports).join(', ')}.`;
  if (door === './testing' && !isTest(file)) return 'Only tests import a testing door.';
  if (door === './internal' && file.startsWith('examples/')) return 'An example uses what a user has: no internal door.';
  return undefined;
}

function checkBuiltin(file: string, specifier: string): string | undefined {
  if (!file.startsWith('packages/core/') || isTest(file)) return undefined;
  if (closedToCore.test(specifier)) return `The core opens no socket and no file: no ${specifier} here.`;
  const homes = timeAndChance[specifier];
  return homes === undefined || homes.includes(file) ? undefined : `Only ${homes.join(' and ')} imports ${specifier}.`;
}

/** The check of every import of the repository at `root`; the manifests are read once. */
export function wallsOf(root: string): WallCheck {
  const manifests = readManifests(root);
  const areaByName = new Map([...manifests].map(([area, manifest]) => [manifest.name, area]));

  return (file, specifier) => {
    if (specifier.startsWith('.')) return checkRelative(file, specifier);
    const area = areaOf(file);
    const manifest = manifests.get(area);
    const sole = soleImporters.find(({ dependency }) => dependency.test(specifier));
    if (manifest !== undefined && sole !== undefined && sole.area !== area) return `Only ${sole.area} imports ${specifier}.`;
    if (specifier.startsWith('node:')) return checkBuiltin(file, specifier);
    if (builtinModules.includes(specifier)) return `Write node:${specifier}.`;

    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
    const target = areaByName.get(name);
    if (target !== undefined) {
      const broken = checkDoor(file, `.${specifier.slice(name.length)}`, target, manifests.get(target)?.exports ?? {});
      if (broken !== undefined) return broken;
    }
    if (manifest === undefined || isTest(file)) return undefined;
    const declared = Object.hasOwn(manifest.dependencies ?? {}, name) || Object.hasOwn(manifest.peerDependencies ?? {}, name);
    return declared ? undefined : `${area} does not declare ${name} as a dependency.`;
  };
}
