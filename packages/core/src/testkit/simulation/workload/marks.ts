/** What a caller says of an operation, for those who look on. */
export interface OperationMark {
  readonly rid: string;
  readonly caller: string;
  /** Its number among the calls of its caller. */
  readonly n: number;
  /** It may be executed more than once. */
  readonly mayRepeat: boolean;
  /** How long its turn takes, in ms; 0 for a handler that is not asynchronous. */
  readonly takesMs: number;
  /** The effect comes before the wait, not after it. */
  readonly effectFirst: boolean;
}

/** The marks of all operations of one world: with a request only its rid travels. */
export class Marks {
  readonly #byRid = new Map<string, OperationMark>();

  add(mark: OperationMark): void {
    this.#byRid.set(mark.rid, mark);
  }

  of(rid: string): OperationMark {
    const mark = this.#byRid.get(rid);
    if (mark === undefined) throw new Error(`nobody asked for the operation ${rid}`);
    return mark;
  }
}
