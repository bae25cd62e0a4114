import { expect, test } from 'vitest';
import { connect } from '../client/client.ts';
import { defineActor } from '../actor/definition.ts';
import { PerkeyError } from '../base/errors.ts';
import { memory } from '../memory/memory-hub.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { startNode } from './node.ts';

const One = defineActor('one', { run: {} });
const one = One.host({ state: () => 0, run() {} });

const wrong = async (start: (options: never) => Promise<unknown>, options: object): Promise<string> => {
  const error: unknown = await start(options as never).catch((thrown: unknown) => thrown);
  if (!(error instanceof PerkeyError)) throw new Error('it was not refused', { cause: error });
  return `${error.code}: ${error.message}`;
};

test('a part of a node that is none of its kind is refused at the start, by its name and what it must be', async () => {
  const base = { cluster: 'c', transport: memory(), actors: [one], env: {} };
  const node = (more: object): Promise<string> => wrong(startNode, { ...base, ...more });
  const list = 'a list of what host() or aggregate() of a contract gives';
  expect(await node({ transport: undefined })).toBe(
    'options.invalid: option transport is undefined, but transport must be what nats() or memory() gives',
  );
  expect(await node({ transport: memory })).toContain('option transport is a function,');
  expect(await node({ actors: undefined })).toBe(`options.invalid: option actors is undefined, but actors must be ${list}`);
  expect(await node({ actors: one })).toContain('option actors is an object of another kind,');
  expect(await node({ actors: [one, One] })).toBe(`options.invalid: option actors[1] is a contract, but actors must be ${list}`);
  expect(await node({ store: {} })).toContain('what jetstream(), sqlite() or memoryStore() gives');
  expect(await node({ store: memoryStore(), projections: [null] })).toContain('option projections[0] is null,');
  expect(await node({ log: console.log })).toContain('a logger with debug, info, warn and error');
  expect(await node({ middleware: () => 1 })).toContain('option middleware is a function, but middleware must be a list of functions');
  expect(await node({ middleware: [[]] })).toContain('option middleware[0] is a list,');
  expect(await node({ authorize: true })).toContain('option authorize is a boolean, but authorize must be a function');
});

test('so is one of a client', async () => {
  const client = (more: object): Promise<string> => wrong(connect, { cluster: 'c', transport: memory(), env: {}, ...more });
  expect(await client({ transport: undefined })).toContain('option transport is undefined,');
  expect(await client({ middleware: [undefined] })).toContain('option middleware[0] is undefined,');
});
