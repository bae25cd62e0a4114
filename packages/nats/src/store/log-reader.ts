import { PerkeyError } from '@perkey/core';
import type { LogBatch, LogRead, LogRecord } from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import type { LiveConnection } from '../connection.ts';
import { unavailable } from '../store-api.ts';
import { barrierPrefix } from './log-barrier.ts';
import type { SubjectFilter } from './log-filter.ts';
import { PullSession } from './pull-session.ts';
import type { PullPlan } from './pull-session.ts';
import { getMessage, lastSequence, subjectState } from './store-link.ts';
import type { StoreLink, StoredMessage } from './store-link.ts';
import type { LogNames } from './store-names.ts';
import type { ToldSequences } from './told.ts';

/** So many records of a stream are fetched one by one at most. */
const walkMax = 64;
/** After so many it is guessed how many there are. */
const walkLeast = 16;
const retryMs = 200;
/** A read that gets no further for so many attempts gives up. */
const attemptsMax = 3;
/** So often the leader is asked again where it says less than it has acknowledged. */
const staleMax = 8;

/** Most records that one request asks for; their bytes bound it too. */
const pullCountMax = 8_192;

export interface ReadPlace {
  readonly link: StoreLink;
  readonly names: LogNames;
  /** Whether only the last record of each stream is kept: then nobody has to look for others. */
  readonly keepsLast: boolean;
  readonly told: ToldSequences;
  /** Most bytes that one request asks for. */
  readonly pullBytesMax: number;
  readonly isClosed: () => boolean;
}

export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Resolves with `undefined` as soon as the signal aborts, else as `run` does. */
async function unlessAborted<T>(signal: AbortSignal | undefined, running: Promise<T>): Promise<T | undefined> {
  if (signal === undefined) return running;
  let end = (): void => {};
  const aborted = new Promise<undefined>((resolve) => {
    end = () => resolve(undefined);
  });
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  try {
    return await Promise.race([running, aborted]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

async function pause({ link }: ReadPlace, ms: number, signal?: AbortSignal): Promise<void> {
  let cancel = (): void => {};
  const waited = new Promise<void>((resolve) => {
    const timer = link.environment.clock.setTimer(ms, () => resolve());
    cancel = () => timer.cancel();
  });
  await unlessAborted(signal, waited);
  cancel();
}

/**
 * The last record of a stream, from the leader. Invariant: never one from before what this object was told of the stream; an answer that is,
 * from a leader that was deposed or a server that lost its data, is asked for again, then rejected with `store.unavailable`.
 */
export async function lastOf(place: ReadPlace, subject: string, floor?: LogRead['reached']): Promise<StoredMessage | undefined> {
  const { link, names, told } = place;
  for (let attempt = 1; ; attempt += 1) {
    const least = told.of(subject);
    const reached = told.reachedBefore(subject);
    const [last, whole] = await Promise.all([
      getMessage(link, names.natsStream, { last_by_subj: subject }),
      reached > 0 ? lastSequence(link, names.natsStream) : reached,
    ]);
    const isUpToDate = (last?.sequence ?? 0) >= least && whole >= reached;
    if (isUpToDate && (last !== undefined || (await isEmpty(place, subject, floor)))) return last;
    if (attempt >= staleMax) throw unavailable('what it says is older than what it has acknowledged');
    await pause(place, retryMs);
  }
}

/**
 * Whether a subject without messages is empty indeed: a leader that was deposed says so too, and nothing is written that would prove it wrong,
 * since an actor without records is not fenced. The same answer shows how far the log has come that says it: as far as this object was told of
 * it, and as far as whoever reads demands.
 */
async function isEmpty({ link, names, told }: ReadPlace, subject: string, floor: LogRead['reached']): Promise<boolean> {
  if (link.replicas === 1) return true;
  const demanded = (await floor?.()) ?? 0;
  const least = Math.max(demanded, told.highest);
  if (least === 0) return true;
  const { last, messages } = await subjectState(link, names.natsStream, subject);
  return last >= least && messages === 0;
}

/** The last record that fits, as of now, by the leader; 0 for none. */
async function endOf(place: ReadPlace, filter: SubjectFilter): Promise<number> {
  const { link, names, told } = place;
  if (filter.is === 'nothing') return 0;
  if (filter.is === 'stream') return (await lastOf(place, filter.subject))?.sequence ?? 0;
  for (let attempt = 1; ; attempt += 1) {
    const least = told.highest;
    const whole = await lastSequence(link, names.natsStream);
    if (whole >= least) return filter.is === 'types' ? lastOfTypes(place, filter.subjects) : lastThere(place, whole);
    if (attempt >= staleMax) throw unavailable('what it says is older than what it has acknowledged');
    await pause(place, retryMs);
  }
}

async function lastOfTypes({ link, names }: ReadPlace, subjects: readonly string[]): Promise<number> {
  const found = await Promise.all(subjects.map((subject) => getMessage(link, names.natsStream, { last_by_subj: subject })));
  return Math.max(0, ...found.map((message) => message?.sequence ?? 0));
}

/** The stream counts on where its last message was removed; only one that is there can be waited for. */
async function lastThere({ link, names }: ReadPlace, sequence: number): Promise<number> {
  if (sequence === 0) return 0;
  const found = await getMessage(link, names.natsStream, { seq: sequence });
  if (found !== undefined) return found.sequence;
  return (await getMessage(link, names.natsStream, { last_by_subj: `${names.prefix}>` }))?.sequence ?? 0;
}

const recordOf = ({ sequence, body }: StoredMessage): LogRecord => ({ sequence, body });

/**
 * The records of one stream as of now. The leader says which one is the last, and each says which one was before it, so a few are found at the
 * same cost however long the log is. A server looks for the records of a subject by going through those of all the others (2.9: 10 ms for a
 * log of 10,000), so a consumer is made only where there are many, or where the way back is not whole. It may sit on a copy that lags behind,
 * and is read until the last record has come.
 */
export async function* readStream(place: ReadPlace, subject: string, read: LogRead): AsyncGenerator<LogBatch, void, undefined> {
  const { after, batchMax, signal } = read;
  const live = await place.link.ready();
  if (read.many === true && !place.keepsLast) return yield* readMany(place, live, subject, read);
  const last = await lastOf(place, subject, read.reached);
  if (last === undefined || last.sequence <= after || isAborted(signal)) return;
  if (place.keepsLast) return yield { records: [recordOf(last)], through: last.sequence, live: true };
  const records = await walkBack(place, last, read);
  if (records === undefined) {
    yield* readSessions(place, { is: 'stream', subject }, read, last.sequence);
    return;
  }
  for (let i = 0; i < records.length; i += batchMax) {
    if (isAborted(signal)) return;
    const batch = records.slice(i, i + batchMax);
    yield { records: batch, through: batch.at(-1)?.sequence ?? after, live: i + batchMax >= records.length };
  }
}

/**
 * From the last record back to the first behind `after`, in the order of the log; `undefined` where they are too many, or one is missing. They are
 * taken for too many as soon as they would be, had all come as slowly as the slowest of those that were met.
 */
async function walkBack({ link, names }: ReadPlace, last: StoredMessage, { after, signal }: LogRead): Promise<LogRecord[] | undefined> {
  const records = [recordOf(last)];
  let { expected, sequence } = last;
  let apart = 0;
  while (expected === undefined || expected > after) {
    if (expected === undefined || expected >= sequence || isAborted(signal)) return undefined;
    apart = Math.max(apart, sequence - expected);
    const left = walkMax - records.length;
    if (left <= 0 || (records.length >= walkLeast && (expected - after) / apart > left)) return undefined;
    const found = await getMessage(link, names.natsStream, { seq: expected });
    if (found?.sequence !== expected || found.subject !== last.subject) return undefined;
    records.push(recordOf(found));
    ({ expected, sequence } = found);
  }
  return records.toReversed();
}

/**
 * The same with a consumer that is made while the leader is asked for the last record: 50 records one after the other take four times as long.
 * Where that record is the only one, nothing is asked of the consumer.
 */
async function* readMany(
  place: ReadPlace,
  live: LiveConnection,
  subject: string,
  read: LogRead,
): AsyncGenerator<LogBatch, void, undefined> {
  const filter: SubjectFilter = { is: 'stream', subject };
  const early = PullSession.openOn(live, place.link, planOf(place, filter, read.after, 0));
  // It may fail before anybody waits for it, or be of no use.
  early.catch(() => {});
  try {
    const last = await lastOf(place, subject, read.reached);
    if (last === undefined || last.sequence <= read.after || isAborted(read.signal)) return;
    const isOnly = last.expected !== undefined && last.expected <= read.after;
    if (isOnly) yield { records: [recordOf(last)], through: last.sequence, live: true };
    else yield* readSessions(place, filter, read, last.sequence, early);
  } finally {
    // Idempotent: it may not have been taken.
    const drop = (): void => void early.then((session) => session.end()).catch(() => undefined);
    place.link.environment.clock.defer(drop);
  }
}

/**
 * Batches from one session after the other, each after what the last one gave. A read that follows goes on for as long as the store is open;
 * one that gets nothing from its first attempts on, and one that does not follow, rejects with `store.unavailable`.
 * `end`: where a read that does not follow ends; asked for where it is not given. `early`: the first session, which is being opened already.
 */
export async function* readSessions(
  place: ReadPlace,
  filter: SubjectFilter,
  read: LogRead,
  end?: number,
  early?: Promise<PullSession>,
): AsyncGenerator<LogBatch, void, undefined> {
  const { follow = false, signal } = read;
  let { after } = read;
  let wasLive = false;
  let failures = 0;
  let begun = false;
  while (!isAborted(signal)) {
    let session: PullSession | undefined;
    const nudge = (): void => session?.nudge();
    try {
      const opening = early === undefined ? openAfter(place, filter, { ...read, after }, end) : opened(early, end);
      early = undefined;
      const begins = await unlessAborted(signal, opening);
      if (begins === undefined) {
        void opening.then((late) => late.session?.end()).catch(() => undefined);
        return;
      }
      const { last } = begins;
      session = begins.session;
      if (session === undefined) return;
      if (!follow) end = last;
      signal?.addEventListener('abort', nudge, { once: true });
      begun = true;
      while (!isAborted(signal)) {
        const records: readonly LogRecord[] = session.take(read.batchMax);
        const through = Math.max(after, session.through);
        const { live } = session;
        if (records.length > 0 || through > after || live !== wasLive) {
          after = through;
          wasLive = live;
          failures = 0;
          yield { records, through, live };
        }
        if (!follow && after >= last) return;
        await session.more();
      }
    } catch (error) {
      failures += 1;
      const passes = error instanceof PerkeyError && error.code === 'store.unavailable';
      if (!passes || place.isClosed() || (failures >= attemptsMax && !(follow && begun))) throw error;
      await pause(place, retryMs, signal);
    } finally {
      signal?.removeEventListener('abort', nudge);
      // Whoever reads has all by now, and does not wait for what is written for that.
      place.link.environment.clock.defer(() => session?.end());
    }
  }
}

/** Passes barriers over, which are empty. */
function recordOnly(names: LogNames): (message: Msg) => boolean {
  const prefix = barrierPrefix(names);
  return (message) => message.data.length > 0 || !message.subject.startsWith(prefix);
}

async function opened(early: Promise<PullSession>, end = 0): Promise<{ readonly last: number; readonly session: PullSession }> {
  const session = await early;
  session.expect(end);
  return { last: end, session };
}

/** `session` is absent where a read that does not follow has nothing to read. */
async function openAfter(
  place: ReadPlace,
  filter: SubjectFilter,
  { after, follow = false }: LogRead,
  end: number | undefined,
): Promise<{ readonly last: number; readonly session: PullSession | undefined }> {
  const last = end ?? (await endOf(place, filter));
  if (!follow && last <= after) return { last, session: undefined };
  return { last, session: await PullSession.open(place.link, planOf(place, filter, after, last)) };
}

function planOf({ link, names, pullBytesMax }: ReadPlace, filter: SubjectFilter, after: number, end: number): PullPlan {
  const many = filter.is === 'types' && filter.subjects.length > 1;
  const here = many && !link.serverAtLeast(2, 10);
  return {
    natsStream: names.natsStream,
    filters: filter.is === 'stream' ? [filter.subject] : filter.is === 'types' && !here ? filter.subjects : [],
    fits: filter.is === 'all' ? recordOnly(names) : here ? ({ subject }) => filter.fits(subject) : undefined,
    deliver: { deliver_policy: 'by_start_sequence', opt_start_seq: after + 1 },
    end,
    countMax: pullCountMax,
    bytesMax: pullBytesMax,
  };
}
