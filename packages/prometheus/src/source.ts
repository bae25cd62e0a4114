import type { MetricFamily } from '@perkey/core';

/** What one source of metrics gave to one scrape. */
export type SourceOutcome = readonly MetricFamily[] | 'rejected' | 'stalled';

/** How many scrapes go by without a source that stalled before its unanswered call is given up and it is called anew. */
const skippedScrapesMax = 5;

/** One added source. At most one of its calls is awaited at a time, so that a source that stalls does not pile up calls. */
export class SourceReader {
  readonly labels: Readonly<Record<string, string>>;
  readonly #source: () => readonly MetricFamily[] | Promise<readonly MetricFamily[]>;
  #pending: Promise<SourceOutcome> | undefined;
  #stalled = false;
  #skipped = 0;

  constructor(source: () => readonly MetricFamily[] | Promise<readonly MetricFamily[]>, labels: Readonly<Record<string, string>>) {
    this.#source = source;
    this.labels = labels;
  }

  /** Never rejects. `deadline` settles when the scrape waits no longer. */
  async read(deadline: Promise<'stalled'>): Promise<SourceOutcome> {
    if (this.#stalled && this.#skipped < skippedScrapesMax) {
      this.#skipped += 1;
      return 'stalled';
    }
    if (this.#stalled) this.#forget();
    const call = (this.#pending ??= this.#call());
    const outcome = await Promise.race([call, deadline]);
    if (outcome === 'stalled' && this.#pending === call) this.#stalled = true;
    return outcome;
  }

  #call(): Promise<SourceOutcome> {
    const call: Promise<SourceOutcome> = this.#ask().finally(() => {
      if (this.#pending === call) this.#forget();
    });
    return call;
  }

  async #ask(): Promise<SourceOutcome> {
    try {
      return await this.#source();
    } catch {
      return 'rejected';
    }
  }

  #forget(): void {
    this.#pending = undefined;
    this.#stalled = false;
    this.#skipped = 0;
  }
}
