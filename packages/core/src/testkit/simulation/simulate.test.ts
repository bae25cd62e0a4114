import { expect, test } from 'vitest';
import { defineActor } from '../../actor/definition.ts';
import type { Fault } from './fault.ts';
import { simulate, type SimulationBody } from './simulate.ts';
import { SimulationFailure } from './simulation-failure.ts';
import { shrinkSchedule } from './shrink.ts';

const anything = { '~standard': { version: 1 as const, vendor: 'test', validate: (value: unknown) => ({ value: value as number }) } };
const Tally = defineActor('tally', { add: { output: anything }, get: { output: anything, readonly: true } });
const tally = Tally.host({
  state: () => ({ value: 0 }),
  add: (ctx) => (ctx.state.value += 1),
  get: (ctx) => ctx.state.value,
});

const small = { nodes: 3, clients: 2, actors: [tally] };

async function failureOf(promise: Promise<unknown>): Promise<SimulationFailure> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SimulationFailure)) throw new Error(`no failure of a simulation: ${String(error)}`);
  return error;
}

test('a body drives actors of its own on virtual time', async () => {
  const values: number[] = [];
  const report = await simulate({ ...small, seed: 5, minutes: 1 }, (world) => {
    for (const client of world.clients) {
      world.spawn(async () => {
        while (world.isRunning) {
          await client.sleep(5_000);
          await client.client.actor(Tally, 'one').add();
        }
      });
    }
    world.atEnd(async () => {
      values.push((await world.clients[0]!.client.actor(Tally, 'one').get()) as number);
    });
  });
  expect(values).toEqual([24]);
  expect(report).toMatchObject({ seed: 5, minutes: 1, faults: 0, ends: 0 });
});

test('a failure names the seed, the fewest faults that fail, and what happened', async () => {
  const faults: Fault[] = [
    { atMs: 1_000, kind: 'delay', target: 'node-1', forMs: 500, amount: 50, variant: 'both' },
    { atMs: 2_000, kind: 'crash', target: 'node-2', forMs: 1_000 },
    { atMs: 3_000, kind: 'pause', target: 'node-0', forMs: 100 },
    { atMs: 40_000, kind: 'crash', target: 'node-1', forMs: 1_000 },
  ];
  /** Believes that nodes do not crash. */
  const body: SimulationBody = async (world) => {
    while (world.isRunning) {
      await world.clients[0]!.sleep(500);
      if (world.nodes.some(({ lives }) => lives > 1)) world.fail('a node has crashed');
    }
  };
  const failure = await failureOf(simulate({ ...small, seed: 9, faults }, body));
  expect(failure.faults).toEqual([faults[1]]);
  expect(failure.message).toMatch(/^seed 9: a node has crashed\nwith 1 of 4 faults:\n {2}2000 ms crash node-2 for 1000 ms\n/);
  expect(failure.message).toContain('node-2: is dead');
  const again = await failureOf(simulate({ ...small, seed: 9, faults: failure.faults, shrinkRunsMax: 0 }, body));
  expect(again.message).toBe(failure.message.replace('with 1 of 4 faults', 'with 1 of 1 faults'));
});

test('what a body throws, and what it leaves hanging, fails the simulation', async () => {
  const thrown = await failureOf(simulate({ ...small, seed: 1, minutes: 0.1 }, () => Promise.reject(new Error('no'))));
  expect(thrown.message).toMatch(/^seed 1: no\n/);
  const hanging = await failureOf(simulate({ ...small, seed: 1, minutes: 0.1 }, () => new Promise(() => {})));
  expect(hanging.message).toMatch(/^seed 1: waited 120000 ms in vain for everything that was begun to end/);
});

test('a schedule is cut down to the faults that it takes', async () => {
  const schedule = Array.from({ length: 64 }, (_, i): Fault => ({ atMs: i, kind: 'wall-jump', target: `node-${i}`, forMs: 0 }));
  const isNeeded = ({ atMs }: Fault): boolean => atMs === 7 || atMs === 41;
  let runs = 0;
  const fewest = await shrinkSchedule(
    schedule,
    50,
    (fewer) => Promise.resolve((runs += 1) > 0 && fewer.filter(isNeeded).length === 2),
    200,
  );
  expect(fewest.map(({ atMs }) => atMs)).toEqual([7, 41]);
  expect(runs).toBeLessThan(60);
});
