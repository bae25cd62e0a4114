import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import type { Logger } from '../base/log.ts';
import { memory } from '../memory/memory-hub.ts';
import { memoryStore } from '../memory/memory-store.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { startNode } from './node.ts';

const Light = defineActor('light', { turn: {} });
const light = Light.host({ state: () => ({ isOn: false }), turn: (ctx) => void (ctx.state.isOn = true) });
const Book = defineActor('book', { note: { input: z.string() } });
const book = Book.host({ state: () => ({ text: '' }), persist: 'state', note: (ctx, text) => void (ctx.state.text += text) });

async function stopped(lights: number, books: number): Promise<readonly unknown[]> {
  const clock = new VirtualClock();
  const lines: unknown[] = [];
  const drop = (): void => {};
  const warn = (fields: object, message: string): void => void lines.push({ ...fields, message });
  const log: Logger = { debug: drop, info: drop, warn, error: drop };
  const node = await clock.run(
    startNode({ cluster: 'c', transport: memory(), actors: [light, book], store: memoryStore(), clock, log, env: {} }),
  );
  lines.length = 0;
  for (let i = 0; i < lights; i += 1) await clock.run(node.actor(Light, `${i}`).turn());
  for (let i = 0; i < books; i += 1) await clock.run(node.actor(Book, `${i}`).note('x', { idempotencyKey: `${i}` }));
  await clock.run(node.stop());
  return lines;
}

test('the last node says once how many actors end with it, when it stops', async () => {
  const message = 'no node is left that may take over; what was only in the memory of actors ends here';
  expect(await stopped(20, 5)).toEqual([{ actors: 20, message }]);
});

test('it says nothing where everything is in the store', async () => {
  expect(await stopped(0, 5)).toEqual([]);
});
