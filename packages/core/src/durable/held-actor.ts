import type { Activation } from '../actor/activation.ts';
import type { StreamHead } from '../events/commit.ts';
import { noHead } from '../events/commit.ts';
import type { Books } from './books.ts';
import type { Subject } from './journal.ts';

/** What the runtime knows of a durable actor in memory, beside its state. Between two turns of the event loop it fits the state. */
export class HeldActor {
  readonly subject: Subject;
  head: StreamHead = noHead;
  books: Books;
  /** Events after the last snapshot. */
  sinceSnapshot = 0;
  isSaving = false;
  /** It may not be what the store holds. */
  stale = false;
  /** Of an actor whose state is kept: the state as it was stored last, encoded; undefined while nothing is stored. */
  keptState: Uint8Array | undefined = undefined;
  /** Of an actor whose state is kept: the ids of its last commits. */
  recent: readonly string[] = [];

  constructor(subject: Subject, books: Books) {
    this.subject = subject;
    this.books = books;
  }

  /** Throws for an actor that was not loaded. */
  static of(activation: Activation): HeldActor {
    const held = activation.extras?.held;
    if (!(held instanceof HeldActor)) throw new TypeError('the actor was not loaded');
    return held;
  }
}

/** An actor on its way into memory, or forward: the state and what belongs to it. */
export interface Folding {
  readonly held: HeldActor;
  state: unknown;
  /** Of the last record that was folded. */
  version: number;
  epoch: number;
}
