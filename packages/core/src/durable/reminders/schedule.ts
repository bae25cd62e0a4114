import { Cron } from 'croner';
import type { ReminderSchedule } from '../../actor/aggregate-context.ts';
import { describeThrown } from '../../base/errors.ts';
import { safeText } from '../../base/log-text.ts';
import { copyPlain } from '../../base/plain.ts';

const cronCharsMax = 128;

/** Ms since 1970 that a date can hold. */
const timeMax = 8.64e15;

/** A copy. Throws TypeError for what is no schedule, and for a pattern that never comes. */
export function checkedSchedule(schedule: ReminderSchedule): ReminderSchedule {
  const copy = copyPlain(schedule) as Readonly<Record<'at' | 'everyMs' | 'from' | 'cron' | 'timeZone', unknown>>;
  const { at, everyMs, from, cron, timeZone } = copy;
  const given = [at, everyMs, cron].filter((value) => value !== undefined).length;
  const isRight =
    given === 1 &&
    (at === undefined || isTime(at)) &&
    (everyMs === undefined || (isTime(everyMs) && everyMs >= 1)) &&
    (from === undefined || (everyMs !== undefined && isTime(from))) &&
    (cron === undefined || (typeof cron === 'string' && cron.length <= cronCharsMax)) &&
    (timeZone === undefined || (cron !== undefined && typeof timeZone === 'string'));
  if (!isRight) {
    const forms = 'by { at }, { everyMs, from? } or { cron, timeZone? }, with times in ms of which everyMs is at least 1';
    throw new TypeError(`a reminder is due ${forms}, not by ${safeText(JSON.stringify(copy, shown), 128)}`);
  }
  if (typeof cron === 'string' && cronAfter(cron, timeZone, 0) === undefined) {
    throw new TypeError('the cron pattern of the reminder never comes');
  }
  return copy as ReminderSchedule;
}

/** For values that JSON has no form for. */
function shown(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? String(value) : value;
}

/** As it is stored: an interval counts from when it was set, where it does not say from when. */
export function anchored(schedule: ReminderSchedule, setAt: number): ReminderSchedule {
  if (!('everyMs' in schedule) || schedule.from !== undefined) return schedule;
  return { everyMs: schedule.everyMs, from: setAt + schedule.everyMs };
}

/** When an anchored schedule that was set at `setAt` is due for the first time; undefined: never. */
export function firstDue(schedule: ReminderSchedule, setAt: number): number | undefined {
  if ('at' in schedule) return schedule.at;
  if ('cron' in schedule) return cronAfter(schedule.cron, schedule.timeZone, setAt);
  const { everyMs, from = setAt } = schedule;
  return from + Math.max(0, Math.ceil((setAt - from) / everyMs)) * everyMs;
}

/** The first due time that is later than `after`; undefined: there is none. */
export function dueAfter(schedule: ReminderSchedule, after: number): number | undefined {
  if ('at' in schedule) return schedule.at > after ? schedule.at : undefined;
  if ('cron' in schedule) return cronAfter(schedule.cron, schedule.timeZone, after);
  const { everyMs, from = 0 } = schedule;
  const next = from + Math.max(0, Math.floor((after - from) / everyMs) + 1) * everyMs;
  return next <= timeMax ? next : undefined;
}

function cronAfter(pattern: string, timeZone: string | undefined, after: number): number | undefined {
  try {
    return new Cron(pattern, { paused: true, timezone: timeZone ?? 'UTC' }).nextRun(new Date(after))?.getTime();
  } catch (thrown) {
    throw new TypeError(`a reminder cannot be due by this cron pattern: ${describeThrown(thrown)}`, { cause: thrown });
  }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && Math.abs(value) <= timeMax;
}
