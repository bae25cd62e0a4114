import { expect, test } from 'vitest';
import { attack } from './attack.ts';

test(
  '20,000 inputs that nobody should send: each is answered or counted, and nothing breaks, stalls or grows',
  { timeout: 120_000 },
  async () => {
    const result = await attack({ count: 20_000, seed: 1 });
    expect(result.faults).toEqual([]);
    expect(result.silent).toBe(0);
    // Time of its own work, which a machine that is busy with other tests doubles: `npm run hostile` holds it to 50.
    expect(result.workMs).toBeLessThanOrEqual(100);
    expect(result.last.heapBytes).toBeLessThan(result.first.heapBytes + 16 * 1_048_576);
    expect(result.last.series).toBeLessThan(result.first.series + 100);
    expect(result.last.handles).toBeLessThan(result.first.handles + 50);
    expect(Object.keys(result.answers)).toEqual(
      expect.arrayContaining(['ok', 'request.malformed', 'key.invalid', 'method.unknown', 'http.bad_path']),
    );
  },
);
