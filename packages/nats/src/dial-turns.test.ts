import { seededRandom } from '@perkey/core';
import { VirtualClock } from '@perkey/core/testing';
import { expect, test } from 'vitest';
import { DialTurns } from './dial-turns.ts';

/** Where NATS stays away: each connection waits for its turn, dials and waits again. */
function dialling(turns: DialTurns, clock: VirtualClock, connections: number): number[] {
  const dials: number[] = [];
  const random = seededRandom(7);
  const wait = (): void => {
    turns.wait({ clock, random }, true, () => {
      dials.push(clock.now());
      wait();
    });
  };
  for (let number = 0; number < connections; number += 1) wait();
  return dials;
}

for (const connections of [1, 2, 3]) {
  test(`connections: ${connections}; together they dial at most ten times a second, and at least once in 150 ms`, async () => {
    const clock = new VirtualClock();
    const since = clock.now();
    const dials = dialling(new DialTurns(), clock, connections);
    await clock.advance(10_000);
    const pauses = dials.map((at, i) => at - (dials[i - 1] ?? since));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(100 - 1e-6);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(150 + 1e-6);
    expect(dials.length).toBeGreaterThan(65);
  });
}

test('who waits goes once somebody got through, and once; not who was taken out, nor who is to wait in any case', async () => {
  const turns = new DialTurns();
  const clock = new VirtualClock();
  const parts = { clock, random: seededRandom(7) };
  const gone: string[] = [];
  turns.wait(parts, true, () => gone.push('taken out')).cancel();
  turns.wait(parts, true, () => gone.push('eager'));
  turns.wait(parts, false, () => gone.push('patient'));
  turns.go();
  turns.go();
  expect(gone).toEqual(['eager']);
  await clock.advance(1_000);
  expect(gone).toEqual(['eager', 'patient']);
});

test('turns that were taken back delay nobody', async () => {
  const turns = new DialTurns();
  const clock = new VirtualClock();
  const parts = { clock, random: seededRandom(7) };
  for (let number = 0; number < 100; number += 1) turns.wait(parts, true, () => {}).cancel();
  const since = clock.now();
  let at = Number.NaN;
  turns.wait(parts, true, () => (at = clock.now()));
  await clock.advance(10_000);
  expect(at - since).toBeLessThanOrEqual(150);
});
