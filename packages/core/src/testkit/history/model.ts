import type { Operation } from './operation.ts';

/**
 * What one key is supposed to be: a deterministic state machine, given as pure functions. States are values: `step` returns another one and changes none.
 * `counter`, `register` and `appendList` are ready; the search for an order takes any.
 */
export interface HistoryModel<State = unknown> {
  /** For texts: 'counter'. */
  readonly name: string;
  readonly initial: State;
  /**
   * The state after the operation, or undefined if it cannot have been executed here with its output. Of an operation whose outcome is not `ok`, and of
   * one without an output, only the effect counts. Throws for an operation that is none of the model's.
   */
  readonly step: (state: State, operation: Operation) => State | undefined;
  /** Equal for equal states and for no others. */
  readonly idOf: (state: State) => string | number;
  /** For texts: the state as people read it. */
  readonly textOf: (state: State) => string;
  /** Whether the operation, with the answer that it had, leaves any state as it is. */
  readonly isRead: (operation: Operation) => boolean;
  /**
   * Of the operations of unknown outcome of one key, those that were `seen`, and those that can make a `difference`. A search takes the others as never
   * executed, and at first all that were not seen. Default: all that are not reads are both. Leaving out one that makes no difference must never make an
   * acceptable history unacceptable.
   */
  readonly relevant?: (unknown: readonly Operation[], answered: readonly Operation[]) => RelevantOperations;
  /**
   * Which state, by its id, an answered operation must find, and which one an operation may lead to, if it leads to one only. With it a search sees at once
   * that a state may not be left, since somebody still has to find it and nothing brings it back. For models whose every operation tells.
   */
  readonly passage?: (operation: Operation) => { readonly finds?: string | undefined; readonly makes?: string | undefined };
  /**
   * Where results say at which place of one total order an operation stands, a history is decided exactly in O(n log n). Undefined: this one needs
   * the search. Gets the requests of one key, those that were not executed too.
   */
  readonly places?: (operations: readonly Operation[]) => HistoryPlaces | undefined;
}

export interface RelevantOperations {
  readonly seen: readonly Operation[];
  readonly difference: readonly Operation[];
}

/** Operations by their place on a ladder that each life of the state climbs once, from 0. */
export interface HistoryPlaces {
  readonly placed: readonly PlacedOperation[];
  /** Each may have been executed once, anywhere after it was invoked: `size` rungs at a time. */
  readonly loose: readonly { readonly operation: Operation; readonly size: number }[];
  /** Those that were told as not executed, for a better word where nothing else fits. */
  readonly refused: HistoryPlaces['loose'];
  /** What is wrong already without a look at time. */
  readonly faults: readonly PlaceFault[];
}

export interface PlacedOperation {
  readonly operation: Operation;
  /** It led from here... */
  readonly low: number;
  /** ...to here; the same for a read. */
  readonly high: number;
  /** Whose ladder it is, where the operation does not say it itself. */
  readonly life?: string | undefined;
}

export interface PlaceFault {
  readonly rule: 'linearizable' | 'honest outcome' | 'nothing doubled';
  readonly text: string;
  readonly operations: readonly Operation[];
}

/** Those of unknown outcome that a search must consider. */
export function relevantOf<State>(
  model: HistoryModel<State>,
  unknown: readonly Operation[],
  answered: readonly Operation[],
): RelevantOperations {
  if (model.relevant) return model.relevant(unknown, answered);
  const changing = unknown.filter((operation) => !model.isRead(operation));
  return { seen: changing, difference: changing };
}
