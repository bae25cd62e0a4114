import type { Operation } from './operation.ts';

/** What a history can break. */
export type HistoryRule =
  /** One order of the operations of a key explains every result and agrees with real time. */
  | 'linearizable'
  /** What was told as executed was executed, and stays. */
  | 'nothing lost'
  /** One request, one effect, one result. */
  | 'nothing doubled'
  /** What was told as not executed never was. */
  | 'honest outcome'
  /** The calls of one client to one key are executed in the order in which they were sent. */
  | 'order of a client'
  /** One incarnation for each shard and epoch. */
  | 'one incarnation'
  /** The epochs under which a shard acts only rise. */
  | 'epochs rise'
  /** The versions of a log are 1, 2, 3 and so on. */
  | 'versions without gap'
  /** A state goes on where it ended, unless it was allowed to die. */
  | 'state kept'
  /** After the last fault every key is answered again. */
  | 'alive at the end'
  /** No key goes without an answer for longer than allowed. */
  | 'bounded gap'
  /** Enough happened for the verdict to mean something. */
  | 'not vacuous';

export interface HistoryFinding {
  readonly rule: HistoryRule;
  /** '' where it is not about one key. */
  readonly key: string;
  /** What is wrong, in one line. */
  readonly text: string;
  /** The fewest operations found that cannot all be true. */
  readonly operations: readonly Operation[];
}
