import type { CommitNotes, CommittedReply, ReminderChange } from './commit.ts';

export interface BookkeepingLimits {
  /** Replies remembered; the oldest go first. */
  readonly repliesMax: number;
  readonly replyAgeMs: number;
}

export interface RememberedReply extends CommittedReply {
  /** When it was committed, by the time of its stream. */
  readonly at: number;
}

/** One pause between two commits counts for no more than this part of the age at which replies are forgotten. */
const stepsPerAge = 10;

/**
 * The time of one stream, in ms, that runs as the times of its commits say and never back. What lies between two of them counts up to `stepMaxMs`:
 * the wall clock of a node that jumps cannot make all replies old at once, and while nothing is committed they grow hardly older.
 */
class StreamTime {
  readonly #stepMaxMs: number;
  #now: number;
  /** The last time that was told, in ms since 1970 by the clock of whoever told it. */
  #told: number;

  constructor(stepMaxMs: number, now: number = Number.NaN, told: number = now) {
    this.#stepMaxMs = stepMaxMs;
    this.#now = now;
    this.#told = told;
  }

  /** What it is when the wall clock shows `wall`. */
  at(wall: number): number {
    return Number.isNaN(this.#now) ? wall : this.#now + Math.max(0, Math.min(wall - this.#told, this.#stepMaxMs));
  }

  /** The last time that was told; NaN: none was. */
  get told(): number {
    return this.#told;
  }

  /** Something was committed at `wall`. */
  advance(wall: number): void {
    this.#now = this.at(wall);
    this.#told = wall;
  }
}

/** A message that waits for its delivery. Numbers rise by one with each message of a stream, so that they also name it to its receiver. */
export interface PendingMessage {
  readonly number: number;
  readonly at: number;
  readonly message: unknown;
}

/** As it lies in snapshots and in records of states. Plain data. */
type PackedBookkeeping = readonly [
  replies: readonly (readonly [string, string, string, number, unknown])[],
  outboxNumber: number,
  pending: readonly (readonly [number, number, unknown])[],
  reminders: readonly (readonly [string, unknown])[],
  /** The time of the stream, and what the wall clock showed then. */
  time: readonly [number, number],
];

/**
 * What a stream says besides the events: replies to commands with an idempotency key, messages to be sent, reminders. A fold over the notes of its
 * commits: taking the same commits always gives the same, wherever a snapshot lies between them.
 */
export class Bookkeeping {
  readonly #limits: BookkeepingLimits;
  /** By idempotency key, the oldest first. */
  readonly #replies = new Map<string, RememberedReply>();
  /** By number, the lowest first. */
  readonly #pending = new Map<number, PendingMessage>();
  readonly #reminders = new Map<string, unknown>();
  #outboxNumber = 0;
  #time: StreamTime;

  constructor(limits: BookkeepingLimits) {
    this.#limits = limits;
    this.#time = new StreamTime(limits.replyAgeMs / stepsPerAge);
  }

  /** Takes the notes of the next commit, which was made at `at`. */
  apply(notes: CommitNotes, at: number): void {
    const { reply, outbox, delivered, reminders } = notes;
    this.#time.advance(at);
    if (reply !== undefined) this.#remember({ ...reply, at: this.#time.at(at) });
    if (outbox !== undefined) for (const message of outbox) this.#await(message, at);
    if (delivered !== undefined) this.#forgetUpTo(delivered);
    if (reminders !== undefined) for (const change of reminders) this.#change(change);
  }

  /** Those that are young enough at `now` (ms since 1970), the oldest first. */
  replies(now: number): readonly RememberedReply[] {
    return [...this.#replies.values()].filter((reply) => this.#isYoung(reply, now));
  }

  /** How old it is at `now` (ms since 1970). */
  ageMs({ at }: RememberedReply, now: number): number {
    return Math.max(0, this.#time.at(now) - at);
  }

  /** The one for this key, if it is young enough at `now`. */
  reply(idempotencyKey: string, now: number): RememberedReply | undefined {
    const reply = this.#replies.get(idempotencyKey);
    return reply !== undefined && this.#isYoung(reply, now) ? reply : undefined;
  }

  /** What waits for its delivery, in the order in which it was committed. */
  pending(): readonly PendingMessage[] {
    return [...this.#pending.values()];
  }

  /** The first that waits behind this number. */
  nextPending(after: number): PendingMessage | undefined {
    for (const message of this.#pending.values()) if (message.number > after) return message;
    return undefined;
  }

  /** How many wait behind this number. */
  pendingAfter(after: number): number {
    const oldest = this.nextPending(0);
    if (oldest === undefined) return 0;
    return this.#pending.size - Math.max(0, Math.min(this.#pending.size, after - oldest.number + 1));
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** The number of the last message that was ever recorded. */
  get outboxNumber(): number {
    return this.#outboxNumber;
  }

  /** When the last commit was made, in ms since 1970 by the clock of its author; undefined: there is none. */
  get committedAt(): number | undefined {
    const { told } = this.#time;
    return Number.isNaN(told) ? undefined : told;
  }

  reminders(): ReadonlyMap<string, unknown> {
    return this.#reminders;
  }

  /** Plain data from which `restore` makes the same again. Replies that are too old at `now` are left out. */
  pack(now: number): unknown {
    const replies = this.replies(now).map(
      ({ idempotencyKey, method, caller, at, outcome }) => [idempotencyKey, method, caller, at, outcome] as const,
    );
    const pending = this.pending().map(({ number, at, message }) => [number, at, message] as const);
    const time = [this.#time.at(now), now] as const;
    return [replies, this.#outboxNumber, pending, [...this.#reminders], time] satisfies PackedBookkeeping;
  }

  /** Throws a RangeError for what `pack` does not make. */
  static restore(packed: unknown, limits: BookkeepingLimits): Bookkeeping {
    const book = new Bookkeeping(limits);
    const [replies, outboxNumber, pending, reminders, time] = partsOf(packed, 5);
    const [now, told] = partsOf(time, 2);
    book.#time = new StreamTime(limits.replyAgeMs / stepsPerAge, numberOf(now), numberOf(told));
    for (const reply of listOf(replies)) {
      const [idempotencyKey, method, caller, at, outcome] = partsOf(reply, 5);
      book.#remember({ idempotencyKey: textOf(idempotencyKey), method: textOf(method), caller: textOf(caller), at: numberOf(at), outcome });
    }
    book.#outboxNumber = numberOf(outboxNumber);
    for (const entry of listOf(pending)) {
      const [at, when, message] = partsOf(entry, 3);
      book.#pending.set(numberOf(at), { number: numberOf(at), at: numberOf(when), message });
    }
    for (const entry of listOf(reminders)) {
      const [name, reminder] = partsOf(entry, 2);
      book.#reminders.set(textOf(name), reminder);
    }
    return book;
  }

  #await(message: unknown, at: number): void {
    this.#outboxNumber += 1;
    this.#pending.set(this.#outboxNumber, { number: this.#outboxNumber, at, message });
  }

  #change({ name, reminder }: ReminderChange): void {
    this.#reminders.delete(name);
    if (reminder !== undefined) this.#reminders.set(name, reminder);
  }

  #isYoung(reply: RememberedReply, now: number): boolean {
    return this.ageMs(reply, now) < this.#limits.replyAgeMs;
  }

  #remember(reply: RememberedReply): void {
    this.#replies.delete(reply.idempotencyKey);
    this.#replies.set(reply.idempotencyKey, reply);
    for (const oldest of this.#replies.keys()) {
      if (this.#replies.size <= this.#limits.repliesMax) return;
      this.#replies.delete(oldest);
    }
  }

  #forgetUpTo(delivered: number): void {
    for (const waiting of this.#pending.keys()) {
      if (waiting > delivered) return;
      this.#pending.delete(waiting);
    }
  }
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new RangeError('the bookkeeping has another form');
}

function partsOf(value: unknown, count: number): readonly unknown[] {
  const all = listOf(value);
  if (all.length === count) return all;
  throw new RangeError('the bookkeeping has another form');
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new RangeError('the bookkeeping has another form');
}

function numberOf(value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new RangeError('the bookkeeping has another form');
}
