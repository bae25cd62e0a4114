import { storeEnvironment, VirtualClock } from '@perkey/core/testing';
import { LogLimiter } from '@perkey/core';
import { expect, test } from 'vitest';
import { type JsReply, type StoreApi, unavailable } from '../store-api.ts';
import { lastOf, readStream } from './log-reader.ts';
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
    pullsEarly: true,
    onEarlyPullLost: () => {},
  };
  const names = { natsStream: 'perkey_demo_events', prefix: 'perkey.demo.events.' };
  return { link, names, keepsLast: false, told, pullBytesMax: 1, isClosed: () => false };
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

interface Held {
  readonly under?: string;
  /** What the append expected to be the last of its subject. */
  readonly expected?: number;
}

/** A leader that holds these records, what was asked of it, and how often somebody wanted a consumer, of which there are none. */
function leaderWith(held: Readonly<Record<number, Held>>, last: number): { place: ReadPlace; asked: string[]; wanted: () => number } {
  const asked: string[] = [];
  let ready = 0;
  const request = (_api: string, body: string): Promise<JsReply> => {
    asked.push(body);
    const { seq = last } = JSON.parse(body) as { seq?: number };
    const found = held[seq];
    if (found === undefined) return Promise.resolve({ error: { code: 404, err_code: 10_037 } });
    const { under = subject, expected } = found;
    const header = expected === undefined ? 'Other:1' : `Nats-Expected-Last-Subject-Sequence:${expected}`;
    const hdrs = Buffer.from(`NATS/1.0\r\n${header}\r\n\r\n`).toString('base64');
    return Promise.resolve({ message: { subject: under, seq, hdrs, data: Buffer.from(`${seq}`).toString('base64') } });
  };
  const { link, ...place } = placeWith(new VirtualClock(), new ToldSequences(), [], []);
  const onceReady: StoreLink['ready'] = () => {
    ready += 1;
    return ready === 1 ? Promise.resolve({} as never) : Promise.reject(unavailable('no consumers here'));
  };
  const leader: StoreLink = { ...link, replicas: 1, ready: onceReady, api: { request } as unknown as StoreApi };
  return { place: { ...place, link: leader }, asked, wanted: () => ready - 1 };
}

async function sequencesOf(place: ReadPlace, after: number, batchMax = 2): Promise<number[][]> {
  const batches: number[][] = [];
  for await (const { records } of readStream(place, subject, { after, batchMax })) batches.push(records.map(({ sequence }) => sequence));
  return batches;
}

function withClock<T>({ link }: ReadPlace, running: Promise<T>): Promise<T> {
  return (link.environment.clock as VirtualClock).run(running);
}

test('a few records are found from the last one back, without a look at those of other streams', async () => {
  const { place, asked } = leaderWith({ 3: { expected: 0 }, 700: { expected: 3 }, 90_000: { expected: 700 } }, 90_000);
  expect(await sequencesOf(place, 0)).toEqual([[3, 700], [90_000]]);
  expect(asked).toEqual([`{"last_by_subj":"${subject}"}`, '{"seq":700}', '{"seq":3}']);
});

test.each([
  [3, [700, 90_000], 2],
  [699, [700, 90_000], 2],
  [700, [90_000], 1],
  [89_999, [90_000], 1],
  [90_000, [], 1],
])('the way back ends at what is known already, here %i', async (after, found, requests) => {
  const { place, asked } = leaderWith({ 700: { expected: 3 }, 90_000: { expected: 700 } }, 90_000);
  expect((await sequencesOf(place, after)).flat()).toEqual(found);
  expect(asked).toHaveLength(requests);
});

const broken: readonly (readonly [what: string, held: Readonly<Record<number, Held>>])[] = [
  ['is missing', { 9: { expected: 7 } }],
  ['is of another stream', { 7: { under: 'another', expected: 0 }, 9: { expected: 7 } }],
  ['does not say what was before it', { 7: {}, 9: { expected: 7 } }],
  ['names one behind itself', { 7: { expected: 8 }, 9: { expected: 7 } }],
];
test.each(broken)('where a record on the way back %s, a consumer is asked', async (_, held) => {
  const { place, wanted } = leaderWith(held, 9);
  await expect(withClock(place, sequencesOf(place, 0))).rejects.toMatchObject({ code: 'store.unavailable' });
  expect(wanted()).toBe(3);
});

test('a consumer is asked where the way back is long', async () => {
  const chain = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i + 1, { expected: i }]));
  expect(await sequencesOf(leaderWith(chain, 100).place, 36, 64)).toHaveLength(1);
  const { place, asked, wanted } = leaderWith(chain, 100);
  await expect(withClock(place, sequencesOf(place, 0))).rejects.toMatchObject({ code: 'store.unavailable' });
  expect([asked.length, wanted()]).toEqual([16, 3]);
});

test.each([
  ['lie closer together than was guessed, the way back has an end all the same', 200, 64],
  ['came in a hurry after a pause, those before it are not taken for many', 40, 40],
])('where records %s', async (_, count, requests) => {
  const sequences = Array.from({ length: count }, (__, i) => (i < count - 10 ? i + 1 : 1_000 + i));
  const chain = Object.fromEntries(sequences.map((sequence, i) => [sequence, { expected: sequences[i - 1] ?? 0 }]));
  const { place, asked } = leaderWith(chain, sequences.at(-1) as number);
  const read = withClock(place, sequencesOf(place, 0, 64));
  if (requests < count) await expect(read).rejects.toMatchObject({ code: 'store.unavailable' });
  else expect(await read).toEqual([sequences]);
  expect(asked).toHaveLength(requests);
});

test('a consumer that cannot be made while the leader is asked does no harm where the last record is the only one', async () => {
  const { place } = leaderWith({ 9: { expected: 7 } }, 9);
  const clock = place.link.environment.clock as VirtualClock;
  const { request } = place.link.api;
  const slow = async (api: string, body: string): Promise<JsReply> => {
    await new Promise<void>((resolve) => void clock.setTimer(10, resolve));
    return request(api, body);
  };
  const link = { ...place.link, api: { request: slow } as unknown as StoreApi };
  const found: number[] = [];
  const reading = async (): Promise<void> => {
    for await (const { records } of readStream({ ...place, link }, subject, { after: 7, batchMax: 5, many: true }))
      found.push(...records.map(({ sequence }) => sequence));
  };
  const read = reading();
  // Where nobody has taken the rejection by now, the process is told of it.
  await new Promise<void>((resolve) => setImmediate(resolve));
  await clock.run(read);
  expect(found).toEqual([9]);
});

test.each([{ many: false }, { many: true }])(
  'of a log that keeps only the last record of a stream that one is asked for, and nothing else: %j',
  async (how) => {
    const { place, asked, wanted } = leaderWith({ 9: { expected: 4 } }, 9);
    const found = [];
    for await (const batch of readStream({ ...place, keepsLast: true }, subject, { after: 0, batchMax: 2, ...how })) found.push(batch);
    expect(found).toMatchObject([{ records: [{ sequence: 9 }], through: 9, live: true }]);
    expect(asked).toEqual([JSON.stringify({ last_by_subj: subject })]);
    expect(wanted()).toBe(0);
  },
);
