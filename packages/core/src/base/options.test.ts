import { expect, expectTypeOf, test } from 'vitest';
import { PerkeyError } from './errors.ts';
import type { OptionTable } from './options.ts';
import { nearestName, optionRows, parseOption, resolveOptions } from './options.ts';

const table = {
  leaseMs: { kind: 'integer', default: 2_000, min: 100, max: 60_000, unit: 'ms', env: 'PERKEY_LEASE_MS', help: 'How long a lease lasts.' },
  weight: { kind: 'number', default: 1, min: 0.1, max: 100, help: 'Share of the shards.' },
  cluster: {
    kind: 'text',
    min: 1,
    max: 32,
    env: 'PERKEY_CLUSTER',
    form: { pattern: /[a-z0-9-]+/, meaning: 'lower-case letters, digits and dashes' },
    help: 'Name of the cluster.',
  },
  token: { kind: 'text', default: '', min: 0, max: 8, secret: true, env: 'PERKEY_TOKEN', help: 'Token of the server.' },
  storage: { kind: 'choice', default: 'file', values: ['file', 'memory'], env: 'PERKEY_STORAGE', help: 'Where records are kept.' },
  exclusive: { kind: 'flag', default: false, env: 'PERKEY_EXCLUSIVE', help: 'Exit when the id is taken.' },
} as const satisfies OptionTable;

function refusal(run: () => unknown): PerkeyError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(PerkeyError);
    expect((error as PerkeyError).code).toBe('options.invalid');
    return error as PerkeyError;
  }
  throw new Error('was not refused');
}

test('the option, else the environment, else the default', () => {
  const env = { PERKEY_LEASE_MS: '3000', PERKEY_CLUSTER: 'from-env', PERKEY_STORAGE: 'memory', PERKEY_EXCLUSIVE: 'yes', PERKEY_TOKEN: '' };
  const resolved = resolveOptions(table, { leaseMs: 4_000, weight: undefined }, env);
  expect(resolved).toEqual({ leaseMs: 4_000, weight: 1, cluster: 'from-env', token: '', storage: 'memory', exclusive: true });
  expect(Object.isFrozen(resolved)).toBe(true);
  expect(resolveOptions(table, { cluster: 'demo' })).toEqual({
    leaseMs: 2_000,
    weight: 1,
    cluster: 'demo',
    token: '',
    storage: 'file',
    exclusive: false,
  });
});

test('the types follow from the table', () => {
  const resolved = resolveOptions(table, { cluster: 'demo' });
  expectTypeOf(resolved).toEqualTypeOf<{
    readonly leaseMs: number;
    readonly weight: number;
    readonly cluster: string;
    readonly token: string;
    readonly storage: 'file' | 'memory';
    readonly exclusive: boolean;
  }>();
  // @ts-expect-error a choice that the table does not hold
  expect(() => resolveOptions(table, { cluster: 'demo', storage: 'disk' })).toThrow('option storage: "disk" is not one of file, memory');
  // @ts-expect-error a name that the table does not hold
  expect(() => resolveOptions(table, { cluster: 'demo', leasems: 1 })).toThrow('there is no option "leasems"; did you mean leaseMs?');
});

test.each([
  ['too small', { leaseMs: 99 }, 'option leaseMs: 99 is not an integer from 100 to 60000 ms'],
  ['too large', { leaseMs: 60_001 }, 'option leaseMs: 60001 is not an integer from 100 to 60000 ms'],
  ['a fraction', { leaseMs: 100.5 }, 'option leaseMs: 100.5 is not an integer from 100 to 60000 ms'],
  ['a number as text', { leaseMs: '500' }, 'option leaseMs: "500" is not an integer from 100 to 60000 ms'],
  ['NaN', { weight: Number.NaN }, 'option weight: NaN is not a number from 0.1 to 100'],
  ['endless', { weight: Number.POSITIVE_INFINITY }, 'option weight: Infinity is not a number from 0.1 to 100'],
  ['null', { weight: null }, 'option weight: null is not a number from 0.1 to 100'],
  ['empty text', { cluster: '' }, 'option cluster: "" is not text of 1 to 32 bytes'],
  ['long text', { cluster: 'é'.repeat(17) }, `option cluster: "${'é'.repeat(17)}" is not text of 1 to 32 bytes`],
  ['broken text', { cluster: '\ud800' }, 'option cluster: "\ufffd" is not text of 1 to 32 bytes'],
  ['text of another form', { cluster: 'a\nb' }, 'option cluster: "a\\nb" is not lower-case letters, digits and dashes'],
  ['a flag as text', { exclusive: 'true' }, 'option exclusive: "true" is not true or false'],
  ['an object', { exclusive: { a: 1 } }, 'option exclusive: [object] is not true or false'],
])('refused: %s', (_, given, message) => {
  expect(refusal(() => resolveOptions(table, { cluster: 'demo', ...(given as object) })).message).toBe(message);
});

test('a bad value of the environment names the option and the variable', () => {
  const error = refusal(() => resolveOptions(table, { cluster: 'demo' }, { PERKEY_LEASE_MS: '2s' }));
  expect(error.message).toBe('option leaseMs (from PERKEY_LEASE_MS): "2s" is not an integer from 100 to 60000 ms');
  expect(error.details).toEqual({ option: 'leaseMs', source: 'PERKEY_LEASE_MS', value: '2s', min: 100, max: 60_000 });
});

test('an option without default that is nowhere set names both ways to set it', () => {
  const error = refusal(() => resolveOptions(table, {}, {}));
  expect(error.message).toBe('option cluster or the environment variable PERKEY_CLUSTER must be set: Name of the cluster.');
});

test('a secret stays out of the message and the details', () => {
  const error = refusal(() => resolveOptions(table, { cluster: 'demo' }, { PERKEY_TOKEN: 'hunter2hunter2' }));
  expect(error.message).toBe('option token (from PERKEY_TOKEN): the value is not text of 0 to 8 bytes');
  expect(JSON.stringify(error.details)).not.toContain('hunter2');
});

test('unknown names are refused, those of every object too', () => {
  expect(refusal(() => resolveOptions(table, { cluster: 'demo', heartbeet: 1 } as object)).message).toBe('there is no option "heartbeet"');
  expect(refusal(() => resolveOptions(table, { cluster: 'demo', toString: 1 } as object)).message).toBe('there is no option "toString"');
  expect(refusal(() => resolveOptions(table, JSON.parse('{"__proto__":{"cluster":"x"}}') as object)).message).toBe(
    'there is no option "__proto__"',
  );
  expect(refusal(() => resolveOptions(table, { ['\u001b[2J'.repeat(100)]: 1 })).message.length).toBeLessThan(300);
  expect(refusal(() => resolveOptions(table, [] as object)).message).toBe('options must be an object, not [array of 0]');
});

test('nearestName suggests a slip of the keys, not another word', () => {
  const known = ['leaseMs', 'marginMs', 'heartbeatMs', 'mailboxMax'];
  expect(nearestName('lesaeMs', known)).toBe('leaseMs');
  expect(nearestName('HEARTBEATMS', known)).toBe('heartbeatMs');
  expect(nearestName('mailboxMx', known)).toBe('mailboxMax');
  expect(nearestName('timeout', known)).toBeUndefined();
  expect(nearestName('x'.repeat(100_000), known)).toBeUndefined();
});

test.each([
  ['leaseMs', '+500', 500],
  ['weight', '1.5', 1.5],
  ['weight', '2e1', 20],
  ['exclusive', 'OFF', false],
  ['exclusive', '1', true],
  ['storage', 'memory', 'memory'],
] as const)('text of %s: %s', (name, text, value) => {
  expect(parseOption(name, table[name], text)).toBe(value);
});

test.each([
  ['leaseMs', ''],
  ['leaseMs', '0x200'],
  ['leaseMs', '500.0'],
  ['leaseMs', ' 500'],
  ['leaseMs', '99999999999999999999'],
  ['weight', 'Infinity'],
  ['weight', '1e999'],
  ['weight', '.'],
  ['exclusive', 'maybe'],
  ['storage', 'toString'],
] as const)('refused text of %s: "%s"', (name, text) => {
  expect(refusal(() => parseOption(name, table[name], text, `--${name}`)).message).toContain(
    `option ${name} (from --${name}): "${text}" is not`,
  );
});

test('the table as rows', () => {
  const rows = optionRows(table);
  expect(rows.map((row) => row.name)).toEqual(Object.keys(table));
  expect(rows[0]).toEqual({
    name: 'leaseMs',
    kind: 'integer',
    default: '2000',
    min: '100',
    max: '60000',
    unit: 'ms',
    env: 'PERKEY_LEASE_MS',
    help: 'How long a lease lasts.',
  });
  expect(rows[2]).toMatchObject({ default: '', min: '1', max: '32', unit: 'bytes' });
  expect(rows[4]).toMatchObject({ default: 'file', min: '', max: '', help: 'Where records are kept. One of: file, memory.' });
  expect(rows[5]).toMatchObject({ default: 'false', env: 'PERKEY_EXCLUSIVE' });
});
