import { bindHandle, bindNotifyHandle } from './handle-classes.ts';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { CallOptions, Caller } from '../contract/calls.ts';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';
import { isActorError } from './domain-error.ts';
import { PerkeyError } from '../base/errors.ts';

const broken = (make: () => unknown): string => {
  try {
    make();
  } catch (error) {
    if (error instanceof PerkeyError && error.code === 'contract.invalid') return error.message;
    throw error;
  }
  return 'no error';
};

test('type and method names are checked', () => {
  for (const name of ['', '1a', 'a.b', 'a b', 'a/b', 'ä', '__proto__', 'x'.repeat(65)]) {
    expect(broken(() => defineActor(name, {}))).toContain('actor type');
    if (name !== '__proto__') expect(broken(() => defineActor('a', { [name]: {} }))).toContain('actor a');
  }
  expect(defineActor('x'.repeat(64), { 'a_b-C9': {} }).type).toHaveLength(64);
});

test('reserved names are refused by name', () => {
  for (const name of [
    'state',
    'onActivate',
    'defaultHandler',
    'timers',
    'mailboxMax',
    'then',
    'toString',
    'constructor',
    'hasOwnProperty',
  ]) {
    expect(broken(() => defineActor('a', { [name]: {} }))).toContain(`"${name}" is reserved`);
  }
});

test('a method spec is checked', () => {
  const misspelt = { inputs: z.string() };
  expect(broken(() => defineActor('a', { get: misspelt as never }))).toContain('no setting "inputs"');
  expect(broken(() => defineActor('a', { get: { input: {} as never } }))).toContain('the input of method get is not a Standard Schema');
  expect(broken(() => defineActor('a', {}, { errors: { bad: 3 as never } }))).toContain('error bad is not a Standard Schema');
});

test('the version tells contracts apart by names and flags, and may be given', () => {
  const one = defineActor('a', { get: {}, put: { input: z.string() } });
  expect(one.version).toMatch(/^[0-9a-f]{8}$/);
  expect(defineActor('a', { put: { input: z.number() }, get: {} }).version).toBe(one.version);
  expect(defineActor('a', { put: { input: z.string() }, get: { readonly: true } }).version).not.toBe(one.version);
  expect(defineActor('a', {}, { version: '2026-01' }).version).toBe('2026-01');
});

test('a node checks what it hosts', () => {
  const contract = defineActor('thing', { get: {} });
  const start = (implementation: object): string => broken(() => new ActorFixture([{ contract, implementation: implementation as never }]));
  const get = (): void => {};
  const state = (): object => ({});
  expect(start({ state })).toContain('actor thing: get is missing');
  expect(start({ get })).toContain('state is missing');
  expect(start({ get, state, fetch: get })).toContain('"fetch" is neither a method of the contract nor an option');
  expect(start({ get, state, onActivate: 3 })).toContain('onActivate is not a function');
  expect(start({ get, state, timers: { tick: 3 } })).toContain('timer tick is not a function');
  expect(start({ get, state, timers: { 'a b': get } })).toContain('timer name');
  expect(start({ get, state, passivateAfterMs: 0 })).toContain('passivateAfterMs is not a number from 1');
  expect(start({ get, state, mailboxMax: 0 })).toContain('mailboxMax');
  expect(start({ get, state, turnTimeoutMs: Number.NaN })).toContain('turnTimeoutMs');
  expect(start({ get, state, checkOutputs: 1 })).toContain('checkOutputs is not true or false');
  expect(start({ get, state, idempotency: { countMax: -1 } })).toContain('idempotency.countMax');
  expect(start({ get, state, idempotency: { count: 1 } })).toContain('idempotency has no setting "count"');
  expect(start({ get, state })).toBe('no error');
});

test('two definitions of one type are refused', () => {
  const definition = defineActor('thing', {}).host({ state: () => 0 });
  expect(() => new ActorFixture([definition, definition])).toThrow(expect.objectContaining({ code: 'actor.duplicate_type' }));
});

class Recorder implements Caller {
  readonly sent: (readonly [string, string, string, unknown, CallOptions | undefined])[] = [];

  request(type: string, method: string, key: string, input: unknown, options?: CallOptions): Promise<unknown> {
    this.sent.push([type, method, key, input, options]);
    return Promise.resolve('reply');
  }

  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void {
    this.sent.push([type, method, key, input, options]);
  }
}

const Counter = defineActor('counter', {
  increment: { input: z.object({ amount: z.number().default(1) }), output: z.string() },
  get: { output: z.string(), readonly: true },
  touch: { idempotent: true },
});

test('a handle sends what its methods say', async () => {
  const caller = new Recorder();
  const counter = bindHandle(Counter, 'k', caller);
  expect(await counter.increment({ amount: 2 })).toBe('reply');
  await counter.increment(undefined, { timeoutMs: 3 });
  await counter.get();
  await counter.get({ timeoutMs: 3 });
  await counter.touch();
  bindNotifyHandle(Counter, 'k', caller).increment({ amount: 4 }, { idempotencyKey: 'x' });
  expect(caller.sent).toEqual([
    ['counter', 'increment', 'k', { amount: 2 }, undefined],
    ['counter', 'increment', 'k', undefined, { timeoutMs: 3 }],
    ['counter', 'get', 'k', undefined, { idempotent: true }],
    ['counter', 'get', 'k', undefined, { timeoutMs: 3, idempotent: true }],
    ['counter', 'touch', 'k', undefined, { idempotent: true }],
    ['counter', 'increment', 'k', { amount: 4 }, { idempotencyKey: 'x' }],
  ]);
});

const misspelt: readonly (readonly [string, unknown, RegExp, object])[] = [
  ['another case', { timeoutMS: 5 }, /no setting "timeoutMS", only timeoutMs, signal, .*; did you mean timeoutMs\?/, { near: 'timeoutMs' }],
  ['another case, and undefined', { idempotencykey: undefined }, /did you mean idempotencyKey\?/, { near: 'idempotencyKey' }],
  ['nothing like any', { retries: 3 }, /no setting "retries", only timeoutMs, signal, headers, idempotencyKey$/, { option: 'retries' }],
  ['one known, one not', { timeoutMs: 5, header: {} }, /did you mean headers\?/, { option: 'header', near: 'headers' }],
  ['a name of the prototype', { toString: 1 }, /no setting "toString"/, { option: 'toString' }],
  ['controls in a name', { 'a\n': 1 }, /no setting "a\\n"/, {}],
  ['a number', 5, /are an object, not 5/, {}],
  ['null', null, /are an object, not null/, {}],
  ['a header without text', { headers: { traceparent: undefined } }, /header "traceparent" .* is undefined/, { option: 'headers' }],
  ['headers that are a text', { headers: 'x' }, /headers of a call are an object, not x/, { option: 'headers' }],
];

test.each(misspelt)(
  'settings of a call that are none are refused by name, and nothing is sent: %s',
  async (_what, settings, message, details) => {
    const caller = new Recorder();
    const given = settings as CallOptions;
    const refused = expect.objectContaining({
      ...{ code: 'options.invalid', executed: 'no' },
      message: expect.stringMatching(message) as string,
      details: expect.objectContaining(details) as object,
    }) as Error;
    const handle = bindHandle(Counter, 'k', caller);
    for (const call of [() => handle.increment({ amount: 1 }, given), () => handle.get(given), () => handle.touch(given)]) {
      await expect(call()).rejects.toThrow(refused);
    }
    const oneWay = bindNotifyHandle(Counter, 'k', caller);
    expect(() => oneWay.increment({ amount: 1 }, given)).toThrow(refused);
    expect(() => oneWay.get(given)).toThrow(refused);
    expect(caller.sent).toEqual([]);
  },
);

test('every setting that there is, is taken', async () => {
  const caller = new Recorder();
  const all: Required<CallOptions> = {
    ...{ timeoutMs: 5, signal: new AbortController().signal, headers: { a: 'b' }, idempotencyKey: 'x' },
    ...{ deadline: 1, chain: [], idempotent: true, onBehalfOf: '' },
  };
  await bindHandle(Counter, 'k', caller).increment({ amount: 1 }, all);
  expect(caller.sent).toHaveLength(1);
});

test('a handle may be awaited and printed without sending anything', async () => {
  const caller = new Recorder();
  const counter = bindHandle(Counter, 'k', caller);
  expect(await Promise.resolve(counter)).toBe(counter);
  expect(JSON.stringify(counter)).toBe('{}');
  expect(caller.sent).toEqual([]);
});

test('only declared errors of the contract are told to be its errors', () => {
  const Bank = defineActor('bank', {}, { errors: { poor: z.object({ balance: z.number() }) } });
  const error = (type: string, code: string): PerkeyError =>
    new PerkeyError('actor.error', 'x', { details: { type, code, data: { balance: 1 } } });
  expect(isActorError(Bank, error('bank', 'poor'))).toBe(true);
  expect(isActorError(Bank, error('bank', 'poor'), 'poor')).toBe(true);
  expect(isActorError(Bank, error('bank', 'rich'))).toBe(false);
  expect(isActorError(Bank, error('bank', 'toString'))).toBe(false);
  expect(isActorError(Bank, error('other', 'poor'))).toBe(false);
  expect(isActorError(Bank, new PerkeyError('handler.failed', 'x', { details: { type: 'bank', code: 'poor' } }))).toBe(false);
  expect(isActorError(Bank, new Error('x'))).toBe(false);
});
