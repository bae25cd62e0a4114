/** One violation, and the rule that must report it in that very file. */
export interface Plant {
  readonly rule: string;
  readonly file: string;
  readonly text: string;
}

const core = 'packages/core/src';

/** A type import of a path, the mildest form of an import. */
function imports(file: string, specifier: string): Plant {
  return { rule: 'perkey(walls)', file, text: `import type { Planted } from '${specifier}';\nexport type Kept = Planted;\n` };
}

/** Imports against the direction between the folders of the core. */
const layers: readonly Plant[] = [
  imports(`${core}/base/to-contract.ts`, '../contract/transport.ts'),
  imports(`${core}/base/to-actor.ts`, '../actor/mailbox.ts'),
  imports(`${core}/base/to-memory.ts`, '../memory/transport.ts'),
  imports(`${core}/contract/to-actor.ts`, '../actor/mailbox.ts'),
  imports(`${core}/contract/to-cluster.ts`, '../cluster/view.ts'),
  imports(`${core}/actor/to-events.ts`, '../events/journal.ts'),
  imports(`${core}/actor/to-cluster.ts`, '../cluster/view.ts'),
  imports(`${core}/actor/to-memory.ts`, '../memory/transport.ts'),
  imports(`${core}/events/to-actor.ts`, '../actor/mailbox.ts'),
  imports(`${core}/events/to-cluster.ts`, '../cluster/view.ts'),
  imports(`${core}/cluster/to-client.ts`, '../client/client.ts'),
  imports(`${core}/cluster/to-memory.ts`, '../memory/transport.ts'),
  imports(`${core}/cluster/to-testkit.ts`, '../testkit/virtual-clock.ts'),
  imports(`${core}/cluster/deep/to-client.ts`, '../../client/client.ts'),
  imports(`${core}/client/to-index.ts`, '../index.ts'),
  imports(`${core}/client/to-testkit.ts`, '../testkit/virtual-clock.ts'),
  imports(`${core}/memory/to-actor.ts`, '../actor/mailbox.ts'),
  imports(`${core}/memory/to-cluster.ts`, '../cluster/view.ts'),
  imports(`${core}/index.ts`, './testkit/virtual-clock.ts'),
  imports(`${core}/internal.ts`, './testkit/virtual-clock.ts'),
  imports(`${core}/elsewhere/unknown-folder.ts`, '../base/clock.ts'),
];

/** Imports past the doors of packages, and dependencies that belong to another package or to nobody. */
const packages: readonly Plant[] = [
  imports('packages/nats/src/path-into-core.ts', '../../core/src/base/clock.ts'),
  imports('packages/nats/src/past-the-doors.ts', '@perkey/core/src/base/clock.ts'),
  imports('packages/nats/src/testing-door.ts', '@perkey/core/testing'),
  imports('packages/nats/src/own-door.ts', '@perkey/nats'),
  imports('packages/nats/src/path-into-test.ts', '../../../test/tidy/walls.ts'),
  imports('packages/nats/src/sole-prometheus.ts', 'prom-client'),
  imports('packages/nats/src/undeclared.ts', 'pino'),
  imports('packages/nats/src/unprefixed.ts', 'fs'),
  imports('packages/prometheus/src/sole-nats.ts', '@nats-io/transport-node'),
  imports(`${core}/base/sole-nats.ts`, '@nats-io/transport-node'),
  imports(`${core}/base/sole-prometheus.ts`, 'prom-client'),
  imports(`${core}/base/sibling.ts`, '@perkey/nats'),
  imports(`${core}/base/socket.ts`, 'node:net'),
  imports(`${core}/base/file.ts`, 'node:fs/promises'),
  imports(`${core}/base/real-time.ts`, 'node:timers/promises'),
  imports(`${core}/base/chance.ts`, 'node:crypto'),
  imports('examples/counter/src/internal-door.ts', '@perkey/core/internal'),
  imports('examples/counter/src/sole-nats.ts', '@nats-io/transport-node'),
  imports('test/path-into-core.test.ts', '../packages/core/src/base/clock.ts'),
  imports('bench/path-into-core.ts', '../packages/core/src/base/clock.ts'),
];

/** The other forms of an import. */
const forms: readonly Plant[] = [
  {
    rule: 'perkey(walls)',
    file: `${core}/base/form-dynamic.ts`,
    text: "export const load = (): Promise<unknown> => import('../actor/mailbox.ts');\n",
  },
  { rule: 'perkey(walls)', file: `${core}/base/form-type.ts`, text: "export type Kept = import('../actor/mailbox.ts').Mailbox;\n" },
  { rule: 'perkey(walls)', file: `${core}/base/form-again.ts`, text: "export { Mailbox } from '../actor/mailbox.ts';\n" },
  { rule: 'perkey(walls)', file: `${core}/base/form-effect.ts`, text: "import '../actor/mailbox.ts';\n" },
];

const time = (name: string, expression: string, rule: string): Plant => ({
  rule,
  file: `${core}/actor/${name}.ts`,
  text: `export const run = (): unknown => ${expression};\n`,
});

const clockAndChance: readonly Plant[] = [
  time('real-set-timeout', 'setTimeout(() => undefined, 1)', 'eslint(no-restricted-globals)'),
  time('real-set-interval', 'setInterval(() => undefined, 1)', 'eslint(no-restricted-globals)'),
  time('real-set-immediate', 'setImmediate(() => undefined)', 'eslint(no-restricted-globals)'),
  time('real-performance', 'performance.now()', 'eslint(no-restricted-globals)'),
  time('real-crypto', 'crypto.randomUUID()', 'eslint(no-restricted-globals)'),
  time('real-now', 'Date.now()', 'eslint(no-restricted-properties)'),
  time('real-hrtime', 'process.hrtime()', 'eslint(no-restricted-properties)'),
  time('real-signal', 'AbortSignal.timeout(1)', 'eslint(no-restricted-properties)'),
  time('real-random', 'Math.random()', 'eslint(no-restricted-properties)'),
  time('real-global', 'globalThis.setTimeout(() => undefined, 1)', 'eslint(no-restricted-properties)'),
  time('real-date', 'new Date()', 'perkey(wall-date)'),
];

const habits: readonly Plant[] = [
  {
    rule: 'typescript(no-floating-promises)',
    file: `${core}/actor/floating.ts`,
    text: 'const later = async (): Promise<void> => {};\nexport function run(): void {\n  later();\n}\n',
  },
  {
    rule: 'typescript(no-misused-promises)',
    file: `${core}/actor/misused.ts`,
    text: 'const later = async (): Promise<void> => {};\nexport function run(list: readonly number[]): void {\n  list.forEach(async () => later());\n}\n',
  },
  {
    rule: 'import(no-cycle)',
    file: `${core}/actor/cycle-one.ts`,
    text: "import { two } from './cycle-two.ts';\nexport const one = (): unknown => two;\n",
  },
  {
    rule: 'import(no-cycle)',
    file: `${core}/actor/cycle-two.ts`,
    text: "import { one } from './cycle-one.ts';\nexport const two = (): unknown => one;\n",
  },
  { rule: 'eslint(max-lines)', file: `${core}/actor/long-file.ts`, text: 'export const line = 1;\n'.padEnd(423, '\n') },
  {
    rule: 'eslint(max-lines-per-function)',
    file: `${core}/actor/long-function.ts`,
    text: `export function run(list: number[]): void {\n${'  list.push(1);\n'.repeat(70)}}\n`,
  },
  { rule: 'import(no-default-export)', file: `${core}/actor/default.ts`, text: 'const one = 1;\nexport default one;\n' },
  { rule: 'perkey(plain-syntax)', file: `${core}/actor/enum.ts`, text: 'export enum Planted {\n  one,\n}\n' },
  { rule: 'perkey(plain-syntax)', file: `${core}/actor/all.ts`, text: "export * from './cycle-one.ts';\n" },
  {
    rule: 'perkey(plain-syntax)',
    file: `${core}/actor/parameter.ts`,
    text: 'export class Planted {\n  constructor(readonly one: number) {}\n}\n',
  },
  {
    rule: 'perkey(plain-syntax)',
    file: `${core}/actor/decorator.ts`,
    text: 'declare const mark: () => void;\n@mark\nexport class Planted {}\n',
  },
  {
    rule: 'typescript(no-namespace)',
    file: `${core}/actor/namespace.ts`,
    text: 'export namespace Planted {\n  export const one = 1;\n}\n',
  },
  {
    rule: 'perkey(module-state)',
    file: `${core}/actor/state.ts`,
    text: 'let count = 0;\nexport const next = (): number => (count += 1);\n',
  },
  { rule: 'eslint(no-console)', file: `${core}/actor/console.ts`, text: "export const run = (): void => console.log('planted');\n" },
  { rule: 'typescript(no-explicit-any)', file: `${core}/actor/any.ts`, text: 'export type Planted = any;\n' },
  { rule: 'typescript(ban-ts-comment)', file: `${core}/actor/ignore.ts`, text: '// @ts-ignore\nexport const one: number = 1;\n' },
  { rule: 'eslint(eqeqeq)', file: `${core}/actor/equal.ts`, text: 'export const run = (one: number): boolean => one == 1;\n' },
  { rule: 'eslint(no-var)', file: `${core}/actor/var.ts`, text: 'export function run(): number {\n  var one = 1;\n  return one;\n}\n' },
  {
    rule: 'eslint(prefer-const)',
    file: `${core}/actor/let.ts`,
    text: 'export function run(): number {\n  let one = 1;\n  return one;\n}\n',
  },
  {
    rule: 'typescript(only-throw-error)',
    file: `${core}/actor/throw.ts`,
    text: "export function run(): never {\n  throw 'planted';\n}\n",
  },
  {
    rule: 'typescript(switch-exhaustiveness-check)',
    file: `${core}/actor/switch.ts`,
    text: "export function run(one: 'a' | 'b'): void {\n  switch (one) {\n    case 'a':\n      run('b');\n  }\n}\n",
  },
  {
    rule: 'perkey(raw-subscribe)',
    file: 'packages/nats/src/raw.ts',
    text: "interface Link {\n  subscribe(subject: string, options: object): void;\n}\nexport const run = (link: Link): void => link.subscribe('a', { callback: run });\n",
  },
];

const test = (name: string, call: string): Plant => ({
  rule: 'perkey(honest-tests)',
  file: `test/${name}.test.ts`,
  text: `import { test } from 'vitest';\n${call}\n`,
});

const tests: readonly Plant[] = [
  test('skipped', "test.skip('one', () => undefined);"),
  test('skipped-sometimes', "test.skipIf(true)('one', () => undefined);"),
  test('alone', "test.only('one', () => undefined);"),
  test('retried', "test('one', { retry: 2 }, () => undefined);"),
];

export const plants: readonly Plant[] = [...layers, ...packages, ...forms, ...clockAndChance, ...habits, ...tests];

/** What must not be reported: the same things where they are allowed. */
export const innocent: Readonly<Record<string, string>> = {
  [`${core}/base/clock.ts`]: 'export const now = (): number => performance.now() + Date.now();\n',
  [`${core}/base/random.ts`]:
    "import { randomBytes } from 'node:crypto';\nexport const draw = (): string => randomBytes(2).toString('hex') + Math.random();\n",
  [`${core}/contract/clean.ts`]: "import type { Planted } from '../base/anything.ts';\nexport type Kept = Planted;\n",
  [`${core}/cluster/clean.ts`]:
    "import type { Planted } from '../actor/anything.ts';\nexport const at = (ms: number, kept: Planted): [Date, Planted] => [new Date(ms), kept];\n",
  [`${core}/cluster/clean.test.ts`]:
    "import { expect, test } from 'vitest';\nimport type { Planted } from '../testkit/anything.ts';\nlet seen = 0;\ntest.skip('one (needs two machines)', (planted: Planted) => {\n  seen = Date.now();\n  expect(planted).toBe(seen);\n});\n",
  [`${core}/testing.ts`]: "export { Planted } from './testkit/anything.ts';\n",
  'packages/nats/src/clean.ts':
    "import type { Planted } from '@nats-io/transport-node';\nimport type { Other } from '@perkey/core';\nimport type { Third } from '@perkey/core/internal';\nimport { connect } from 'node:net';\nexport type Kept = [Planted, Other, Third];\nexport const run = connect;\n",
  'packages/nats/src/clean.test.ts': "import type { Planted } from '@perkey/core/testing';\nexport type Kept = Planted;\n",
  'packages/nats/src/subscription.ts':
    "interface Link {\n  subscribe(subject: string): void;\n}\nexport const run = (link: Link): void => link.subscribe('a');\n",
  'bench/clean.ts':
    "import type { Planted } from '@nats-io/transport-node';\nimport type { Other } from '../examples/counter/src/anything.ts';\nexport type Kept = [Planted, Other];\n",
};
