import { storeEnvironment, VirtualClock } from '@perkey/core/testing';
import { LogLimiter } from '@perkey/core';
import { expect, test } from 'vitest';
import type { JsReply, StoreApi } from '../store-api.ts';
import { lastOf } from './log-reader.ts';
import type { ReadPlace } from './log-reader.ts';
import type { StoreLink } from './store-link.ts';
import { ToldSequences } from './told.ts';

const subject = 'perkey.demo.events.Account.x';

/** A leader that says what it is told to, one answer after the other; the last one again and again. */
function placeWith(clock: VirtualClock, told: ToldSequences, last: readonly number[], whole: readonly number[]): ReadPlace {
  const left = { last: [...last], whole: [...whole] };
  const next = (from: number[]): number => (from.length > 1 ? from.shift() : from[0]) ?? 0;
  const request = (api: string): Promise<JsReply> => {
    if (api.startsWith('$JS.API.STREAM.INFO.')) return Promise.resolve({ state: { last_seq: next(left.whole) } });
    const seq = next(left.last);
    if (seq === 0) return Promise.resolve({ error: { code: 404, err_code: 10_037 } });
    return Promise.resolve({ message: { subject, seq, data: Buffer.from('x').toString('base64') } });
  };
  const link: StoreLink = {
    environment: storeEnvironment({ clock }),
    api: { request } as unknown as StoreApi,
    inboxPrefix: '_INBOX',
    guard: (_place, run) => run(),
    limiter: new LogLimiter(clock),
    ready: () => Promise.reject(new Error('not asked for here')),
    onLost: () => () => {},
    onMissing: () => {},
    replicas: 3,
    serverAtLeast: () => true,
  };
  const names = { natsStream: 'perkey_demo_events', prefix: 'perkey.demo.events.' };
  return { link, names, told, pullBytesMax: 1, isClosed: () => false };
}

test('a leader that says less than it has acknowledged is asked again', async () => {
  const clock = new VirtualClock();
  const told = new ToldSequences();
  told.note(subject, 7);
  const place = placeWith(clock, told, [5, 0, 5, 7], [9]);
  expect(await clock.run(lastOf(place, subject))).toMatchObject({ sequence: 7 });
});

test('a leader that stays behind is never believed', async () => {
  for (const last of [6, 0]) {
    const clock = new VirtualClock();
    const told = new ToldSequences();
    told.note(subject, 7);
    const read = clock.run(lastOf(placeWith(clock, told, [last], [9]), subject));
    await expect(read, String(last)).rejects.toMatchObject({ code: 'store.unavailable' });
  }
});

test('of a stream that was let go the whole log must have got as far as what was told', async () => {
  const clock = new VirtualClock();
  const told = new ToldSequences();
  for (let i = 1; i <= 65_537; i += 1) told.note(`s${i}`, i);
  const place = placeWith(clock, told, [0, 3], [100, 70_000]);
  expect(await clock.run(lastOf(place, 's3'))).toMatchObject({ sequence: 3 });
  const behind = clock.run(lastOf(placeWith(clock, told, [3], [100]), 's3'));
  await expect(behind).rejects.toMatchObject({ code: 'store.unavailable' });
});

test('a leader that knows nothing of a stream is believed only if it has the whole log as far as it was told', async () => {
  const clock = new VirtualClock();
  const told = new ToldSequences();
  told.note('another', 50);
  expect(await clock.run(lastOf(placeWith(clock, told, [0], [50]), subject))).toBeUndefined();
  expect(await clock.run(lastOf(placeWith(clock, told, [0, 4], [49, 60]), subject))).toMatchObject({ sequence: 4 });
  const behind = clock.run(lastOf(placeWith(clock, told, [0], [49]), subject));
  await expect(behind).rejects.toMatchObject({ code: 'store.unavailable' });
});
