import { expect, test } from 'vitest';
import { isLateRequest, LatestRequests } from './latest-requests.ts';

test('callers are remembered by the thousand and not for ever', () => {
  const latest = new LatestRequests();
  expect(isLateRequest(latest.of('faithful', 0), 9)).toBe(false);
  for (let i = 0; i < 100_000; i += 1) {
    if (isLateRequest(latest.of(`caller ${i}`, 0), 9)) throw new Error('nothing came before');
    latest.of('faithful', 0);
  }
  for (const caller of ['caller 99999', 'faithful']) expect(isLateRequest(latest.of(caller, 0), 8)).toBe(true);
  expect(latest.size).toBeLessThan(17_000);
});

test('a caller that was silent here while it made a billion calls elsewhere is not taken for late', () => {
  const latest = new LatestRequests();
  expect(isLateRequest(latest.of('busy', 0), 1_000)).toBe(false);
  expect(isLateRequest(latest.of('busy', 200_000), 900)).toBe(true);
  // Ids begin anew after 2^30.
  expect(isLateRequest(latest.of('busy', 600_000), 900)).toBe(false);
  expect(isLateRequest(latest.of('busy', 600_001), 899)).toBe(true);
});
