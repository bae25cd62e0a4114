/** The connections of one transport that wait before they dial again: when one of them gets through, the others need not wait. */
export class WaitingDials {
  readonly #waiting = new Set<() => void>();

  /** `go` ends the wait; the returned function takes it out again. */
  add(go: () => void): () => void {
    this.#waiting.add(go);
    return () => this.#waiting.delete(go);
  }

  /** NATS can be reached. */
  go(): void {
    for (const go of [...this.#waiting]) go();
  }
}
