/** Waits for conditions that change with events: whoever has news calls `look`. */
export class Waiting {
  readonly #looks = new Set<() => void>();

  look(): void {
    for (const look of this.#looks) look();
  }

  /** Rejects after `limitMs` with `what`, and with what `seen` gives then. */
  until(what: string, holds: () => boolean, limitMs: number, seen: () => unknown = () => ''): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        clearTimeout(timer);
        this.#looks.delete(look);
        if (error) reject(error);
        else resolve();
      };
      const timer = setTimeout(() => end(new Error(`waited ${limitMs} ms in vain for: ${what}; seen: ${JSON.stringify(seen())}`)), limitMs);
      const look = (): void => {
        if (holds()) end();
      };
      this.#looks.add(look);
    });
  }
}
