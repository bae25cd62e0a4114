import { expect, test } from 'vitest';
import { isLateRequest, LatestRequests } from './latest-requests.ts';

test('callers are remembered by the thousand and not for ever', () => {
  const latest = new LatestRequests();
  expect(isLateRequest(latest.of('faithful'), 9)).toBe(false);
  for (let i = 0; i < 100_000; i += 1) {
    if (isLateRequest(latest.of(`caller ${i}`), 9)) throw new Error('nothing came before');
    latest.of('faithful');
  }
  for (const caller of ['caller 99999', 'faithful']) expect(isLateRequest(latest.of(caller), 8)).toBe(true);
  expect(latest.size).toBeLessThan(17_000);
});
