export interface BenchOptions {
  /** The result is printed by the caller: a bench prints nothing but progress. */
  readonly json: boolean;
  /** A few seconds instead of minutes. */
  readonly quick: boolean;
  /** A folder for CPU profiles, where the bench can take them. */
  readonly profile?: string | undefined;
}

export type Bench = (options: BenchOptions) => Promise<object>;
