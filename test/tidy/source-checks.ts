/** The texts of a repository by their path from its root, with forward slashes; without what is installed, built or cached. */
export type Tree = ReadonlyMap<string, string>;

/** Says what is wrong, one line each, beginning with the path; an empty list is a clean tree. */
export interface SourceCheck {
  readonly name: string;
  run(tree: Tree): readonly string[];
}

interface Manifest {
  readonly version?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

const linesMax = 400;
const lockfile = 'package-lock.json';

const topLevel = new Set(
  `packages examples bench test docs package.json ${lockfile} tsconfig.json vitest.config.ts Taskfile.yml README.md CHANGELOG.md LICENSE`.split(
    ' ',
  ),
);

const closedTopLevel: SourceCheck = {
  name: 'the top level is closed',
  run(tree) {
    const names = new Set([...tree.keys()].map((path) => path.split('/')[0] ?? ''));
    return [...names].filter((name) => !topLevel.has(name) && !name.startsWith('.') && !/^tsconfig\.\w+\.json$/.test(name));
  },
};

const portableLockfile: SourceCheck = {
  name: 'the lockfile names no place to download from',
  run(tree) {
    const { packages = {} } = JSON.parse(tree.get(lockfile) ?? '{}') as {
      packages?: Record<string, { resolved?: string; link?: boolean }>;
    };
    const placed = Object.entries(packages).filter(([, entry]) => entry.resolved !== undefined && entry.link !== true);
    return placed.map(([path]) => `${lockfile}: ${path}`);
  },
};

const manifestsOf = (tree: Tree): readonly (readonly [string, Manifest])[] =>
  [...tree]
    .filter(([path]) => /^((packages|examples)\/[^/]+\/)?package\.json$/.test(path))
    .map(([path, text]) => [path, JSON.parse(text) as Manifest]);

const exactVersions: SourceCheck = {
  name: 'all packages have one version, and every dependency is exact',
  run(tree) {
    const manifests = manifestsOf(tree);
    const version = manifests.find(([path]) => path === 'package.json')?.[1].version;
    return manifests.flatMap(([path, manifest]) => {
      const dependencies = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies });
      return [
        ...(manifest.version === version ? [] : [`${path}: version is not ${version}`]),
        ...dependencies
          .filter(([name, wanted]) => (name.startsWith('@perkey/') ? wanted !== version : !/^\d+\.\d+\.\d+$/.test(wanted)))
          .map(([name, wanted]) => `${path}: ${name} ${wanted}`),
      ];
    });
  },
};

const doorsInOrder: SourceCheck = {
  name: 'each door offers its source first, then its types, then its build',
  run: (tree) =>
    // Examples are not built: they are run as they are.
    manifestsOf(tree).flatMap(([path, { exports = {} }]) =>
      Object.entries(path.startsWith('examples/') ? {} : exports)
        .filter(([door, targets]) => {
          const file = door === '.' ? 'index' : door.slice(2);
          const wanted = { '@perkey/source': `./src/${file}.ts`, types: `./dist/${file}.d.ts`, default: `./dist/${file}.js` };
          return JSON.stringify(targets) !== JSON.stringify(wanted);
        })
        .map(([door]) => `${path}: ${door}`),
    ),
};

const scriptOfEachTask: SourceCheck = {
  name: 'each task calls an npm script',
  run(tree) {
    const { scripts = {} } = JSON.parse(tree.get('package.json') ?? '{}') as Manifest;
    const commands = [...(tree.get('Taskfile.yml') ?? '').matchAll(/^.*\bcmds?:\s*(?:\{\s*cmd:\s*)?'?([^',}]*)/gm)];
    return commands
      .map(([, command = '']) => command.trim())
      .filter((command) => {
        const [, script] = /^npm (?:run )?([\w:]+)/.exec(command) ?? [];
        return command !== 'npm run' && command !== 'npm ci' && (script === undefined || !Object.hasOwn(scripts, script));
      })
      .map((command) => `Taskfile.yml: ${command}`);
  },
};

/** A check of one text at a time; `problem` says what is wrong with a path and its text. */
function eachFile(name: string, problem: (path: string, text: string) => string | undefined): SourceCheck {
  return {
    name,
    run: (tree) =>
      [...tree].flatMap(([path, text]) => {
        const found = problem(path, text);
        return found === undefined ? [] : [`${path}: ${found}`];
      }),
  };
}

const lineMatching = (text: string, pattern: RegExp): string | undefined => text.split('\n').find((line) => pattern.test(line));

// Written so that this file does not match itself.
const leftBehind = /\b(TO[D]O|FIX[M]E|X[X]X)\b/;
const silenced = /(?:ox|es)lint-disable(?!.*\s--\s\S)/;

export const sourceChecks: readonly SourceCheck[] = [
  closedTopLevel,
  portableLockfile,
  exactVersions,
  doorsInOrder,
  scriptOfEachTask,
  eachFile('nothing is left for later', (path, text) => (path === lockfile ? undefined : lineMatching(text, leftBehind))),
  eachFile('a silenced rule has its reason', (_path, text) => lineMatching(text, silenced)),
  eachFile('a file is at most 400 lines', (path, text) => {
    const lines = text.split('\n').length - 1;
    return path === lockfile || lines <= linesMax ? undefined : `${lines} lines`;
  }),
  eachFile('a file is named after what it holds', (path) =>
    /(^|\/)(utils?|types?|helpers?)\.ts$/.test(path) ? 'says nothing' : undefined,
  ),
];
