import { expect, test } from 'vitest';
import { anchored, checkedSchedule, dueAfter, firstDue } from './schedule.ts';

const utc = (text: string): number => Date.parse(text);

test('a cron pattern is due by the clock of its time zone, UTC where none is given', () => {
  const at = utc('2026-03-28T10:30:00.500Z');
  expect(dueAfter({ cron: '0 2 * * *' }, at)).toBe(utc('2026-03-29T02:00:00Z'));
  expect(dueAfter({ cron: '0 9 * * *', timeZone: 'Europe/Berlin' }, at)).toBe(utc('2026-03-29T07:00:00Z'));
  expect(dueAfter({ cron: '*/10 * * * * *' }, at)).toBe(utc('2026-03-28T10:30:10Z'));
  // Strictly later than the time itself.
  expect(dueAfter({ cron: '0 2 * * *' }, utc('2026-03-29T02:00:00Z'))).toBe(utc('2026-03-30T02:00:00Z'));
});

test('an interval counts from a time, or from when it was set', () => {
  expect(firstDue(anchored({ everyMs: 100 }, 1_000), 1_000)).toBe(1_100);
  expect(firstDue({ everyMs: 100, from: 950 }, 1_000)).toBe(1_050);
  expect(firstDue({ everyMs: 100, from: 900 }, 1_000)).toBe(1_000);
  expect(firstDue({ everyMs: 100, from: 5_000 }, 1_000)).toBe(5_000);
  expect(dueAfter({ everyMs: 100, from: 950 }, 1_050)).toBe(1_150);
  expect(dueAfter({ everyMs: 100, from: 5_000 }, 1_000)).toBe(5_000);
});

test('once is once', () => {
  expect(firstDue({ at: 5 }, 1_000)).toBe(5);
  expect(dueAfter({ at: 5 }, 5)).toBeUndefined();
});

test.each([
  [{}, 'a reminder is due'],
  [{ at: 1, everyMs: 2 }, 'a reminder is due'],
  [{ everyMs: 0 }, 'not by {"everyMs":0}'],
  [{ at: Number.NaN }, 'not by {"at":"NaN"}'],
  [{ at: 1, from: 3 }, 'a reminder is due'],
  [{ at: 1, timeZone: 'UTC' }, 'a reminder is due'],
  [{ cron: 'x'.repeat(500) }, 'a reminder is due'],
  [{ cron: 'not a pattern' }, 'cron pattern'],
  [{ cron: '* * * * *', timeZone: 'Nowhere/Atlantis' }, 'cron pattern'],
  [{ cron: '0 0 30 2 *' }, 'never comes'],
])('%j is refused', (schedule, text) => {
  expect(() => checkedSchedule(schedule as never)).toThrow(text);
});

test('a schedule of numbers of another kind is refused and shown as well', () => {
  expect(() => checkedSchedule({ at: 5n } as never)).toThrow('not by {"at":"5"}');
});
