import type { CommitNotes } from '../events/commit.ts';

/** A reply that is remembered, with when its commit was made, in ms since 1970. */
export interface BookedReply {
  readonly idempotencyKey: string;
  readonly method: string;
  readonly caller: string;
  readonly outcome: unknown;
  readonly at: number;
}

export interface BooksLimits {
  readonly repliesMax: number;
  readonly replyAgeMs: number;
}

/** What the commits of one stream say beside its events: a fold, as the state is one. */
export class Books {
  readonly #limits: BooksLimits;
  readonly #replies = new Map<string, BookedReply>();
  readonly #outbox = new Map<number, unknown>();
  readonly #reminders = new Map<string, unknown>();
  #written = 0;
  #delivered = 0;

  constructor(limits: BooksLimits) {
    this.#limits = limits;
  }

  get replies(): Iterable<BookedReply> {
    return this.#replies.values();
  }

  reply(idempotencyKey: string): BookedReply | undefined {
    return this.#replies.get(idempotencyKey);
  }

  get reminders(): ReadonlyMap<string, unknown> {
    return this.#reminders;
  }

  /** Messages that were not yet dealt with, by their number. */
  get outbox(): ReadonlyMap<number, unknown> {
    return this.#outbox;
  }

  apply({ reply, outbox, delivered, reminders }: CommitNotes, at: number): void {
    if (reply !== undefined) this.#remember({ ...reply, at });
    for (const message of outbox ?? []) this.#outbox.set((this.#written += 1), message);
    if (delivered !== undefined) this.#deliver(delivered);
    for (const { name, reminder } of reminders ?? []) {
      if (reminder === undefined) this.#reminders.delete(name);
      else this.#reminders.set(name, reminder);
    }
  }

  /** These books after one more commit, which itself is not entered. */
  with(notes: CommitNotes, at: number): Books {
    const { reply, outbox, delivered, reminders } = notes;
    if (reply === undefined && outbox === undefined && delivered === undefined && reminders === undefined) return this;
    const copy = new Books(this.#limits);
    for (const [key, known] of this.#replies) copy.#replies.set(key, known);
    for (const [number, message] of this.#outbox) copy.#outbox.set(number, message);
    for (const [name, reminder] of this.#reminders) copy.#reminders.set(name, reminder);
    copy.#written = this.#written;
    copy.#delivered = this.#delivered;
    copy.apply(notes, at);
    return copy;
  }

  #remember(reply: BookedReply): void {
    const { repliesMax, replyAgeMs } = this.#limits;
    this.#replies.delete(reply.idempotencyKey);
    this.#replies.set(reply.idempotencyKey, reply);
    for (const [key, { at }] of this.#replies) {
      if (this.#replies.size <= repliesMax && at + replyAgeMs > reply.at) break;
      this.#replies.delete(key);
    }
  }

  #deliver(upTo: number): void {
    this.#delivered = Math.max(this.#delivered, upTo);
    for (const number of this.#outbox.keys()) {
      if (number > upTo) break;
      this.#outbox.delete(number);
    }
  }

  /** Plain data, for `unpack`. */
  pack(): unknown {
    const replies = Array.from(this.#replies.values(), (r) => [r.idempotencyKey, r.method, r.caller, r.outcome, r.at]);
    return [replies, this.#written, this.#delivered, [...this.#outbox], [...this.#reminders]];
  }

  /** Throws for what `pack` cannot have made. */
  static unpack(packed: unknown, limits: BooksLimits): Books {
    const books = new Books(limits);
    const [replies, written, delivered, outbox, reminders] = packed as [
      unknown[][],
      number,
      number,
      [number, unknown][],
      [string, unknown][],
    ];
    for (const [idempotencyKey, method, caller, outcome, at] of replies) {
      books.#remember({ idempotencyKey, method, caller, outcome, at } as BookedReply);
    }
    books.#written = written;
    books.#delivered = delivered;
    for (const [number, message] of outbox) books.#outbox.set(number, message);
    for (const [name, reminder] of reminders) books.#reminders.set(name, reminder);
    return books;
  }
}
