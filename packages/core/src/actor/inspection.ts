import type { ActivationStatus } from './activation.ts';

/** What the node knows of a durable actor in memory, beside its state, as the last record that it has seen left it. Times in ms since 1970. */
export interface DurableInspection {
  /** Events so far; of an actor whose state is kept, how often it was stored. */
  readonly version: number;
  /** The place of the last record in the log; 0: nothing is stored. */
  readonly sequence: number;
  /** Of the owner who wrote that record. */
  readonly epoch: number;
  /** Who that was: node and incarnation. */
  readonly owner: string;
  /** When the last commit was made, by the wall clock of its node; undefined: there is none. */
  readonly committedAt: number | undefined;
  /** Messages that wait for their delivery. */
  readonly outboxPending: number;
  readonly reminders: readonly { readonly name: string; readonly dueAt: number }[];
  /** Of the newest snapshot that was saved or used here under the present epoch; undefined: nothing is known of one. */
  readonly snapshotVersion: number | undefined;
  /** It is loaded again before its next turn, since the store may hold more. */
  readonly isStale: boolean;
}

export interface ActorInspection {
  readonly type: string;
  readonly key: string;
  /** Requests and ticks in its mailbox. */
  readonly waiting: number;
  readonly status: ActivationStatus;
  /** Of a durable actor that has been loaded. */
  readonly durable?: DurableInspection;
}

export interface HostInspection {
  readonly shards: number;
  readonly resident: number;
  readonly residentByType: Readonly<Record<string, number>>;
  /** Requests and ticks in all mailboxes. */
  readonly waiting: number;
  /** Asynchronous turns that have not settled. */
  readonly running: number;
  readonly quarantined: number;
  /** Replies held back because the guard did not let them go. */
  readonly withheld: number;
  /** Deepest first. */
  readonly deepest: readonly ActorInspection[];
}

/** Holds one actor still, for tests. */
export interface ActorControl {
  readonly status: ActivationStatus;
  readonly waiting: number;
  /** No further turn starts; a running one goes on. */
  pause(): void;
  resume(): void;
  /** Runs one waiting turn of a paused actor to its end; false when none waits or a turn is running. */
  step(): Promise<boolean>;
  /** A copy of the state. */
  state(): unknown;
}
