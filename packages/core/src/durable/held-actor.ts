import type { Activation } from '../actor/activation.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { Bookkeeping } from '../events/bookkeeping.ts';
import type { HistoryPlaces } from './history-places.ts';
import type { CommitAuthor, StreamHead } from '../events/commit.ts';

/** A due time, in ms since 1970, that passes without a call; later ones are kept that are at most `keptMs` old. */
export interface Skip {
  readonly due: number;
  readonly keptMs: number;
}

/** What the runtime knows of a durable actor in memory, beside its state. Between two turns of the event loop it fits the state. */
export class HeldActor {
  readonly stream: StreamName;
  readonly shard: number;
  /** Under whose name and epoch it is written here. */
  readonly author: CommitAuthor;
  head: StreamHead;
  books: Bookkeeping;
  /** It may not be what the store holds. */
  stale = false;
  /** The node knows of something that it has to do without being called. */
  hasDuty = false;
  /** Every outbox message up to this number was dealt with by this node, whether a commit says so yet or not. */
  deliveredTo = 0;
  /** Reminders that are to be left out this time, by name. */
  skips: Map<string, Skip> | undefined = undefined;
  /** Of an actor whose state is kept: the state as it was stored last, encoded. */
  keptState: Uint8Array | undefined = undefined;
  /** Of an actor whose history was read. */
  places: HistoryPlaces | undefined = undefined;
  /** Of an actor whose state is kept: the ids of its last commits, oldest first. */
  recent: readonly string[] = [];

  constructor(stream: StreamName, shard: number, author: CommitAuthor, head: StreamHead, books: Bookkeeping) {
    this.stream = stream;
    this.shard = shard;
    this.author = author;
    this.head = head;
    this.books = books;
  }

  /** Throws for an actor that was not loaded. */
  static of(activation: Activation): HeldActor {
    const held = activation.extras?.held;
    if (!(held instanceof HeldActor)) throw new TypeError('the actor was not loaded');
    return held;
  }
}
