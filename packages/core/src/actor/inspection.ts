import type { ActivationStatus } from './activation.ts';

export interface MailboxInspection {
  readonly type: string;
  readonly key: string;
  readonly waiting: number;
  readonly status: ActivationStatus;
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
  readonly deepest: readonly MailboxInspection[];
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
