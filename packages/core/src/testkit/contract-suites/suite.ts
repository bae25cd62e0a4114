/** What a suite needs of a test runner: `test` of vitest, `test` of node:test, or anything of this shape. */
export interface SuiteTest {
  (name: string, run: () => Promise<void>): unknown;
  readonly skip: (name: string, run: () => Promise<void>) => unknown;
}

export interface SuiteOptions<S> {
  readonly test: SuiteTest;
  /** What is tested; stands before the name of each case. */
  readonly name: string;
  /** A fresh subject for each case, empty of what other cases left behind. */
  readonly open: () => Promise<S>;
  /** Cases that this implementation cannot meet, by name, with the reason. A name that no case has is an error. */
  readonly skip?: Readonly<Record<string, string>> | undefined;
}

export type SuiteCases<S> = Readonly<Record<string, (subject: S) => Promise<void>>>;

/** Registers each case as a test of its own. */
export function defineSuite<S extends { close(): Promise<void> }>(cases: SuiteCases<S>, options: SuiteOptions<S>): void {
  const { test, name, open, skip = {} } = options;
  for (const skipped of Object.keys(skip)) {
    if (!Object.hasOwn(cases, skipped)) throw new Error(`the suite has no case named "${skipped}" that could be skipped`);
  }
  for (const [caseName, run] of Object.entries(cases)) {
    const reason = skip[caseName];
    const whole = async (): Promise<void> => {
      const subject = await open();
      try {
        await run(subject);
      } finally {
        await subject.close();
      }
    };
    if (reason === undefined) test(`${name}: ${caseName}`, whole);
    else test.skip(`${name}: ${caseName} (${reason})`, whole);
  }
}

/** A part of the subject that only some implementations have; a case that needs it is skipped by name where it is missing. */
export function needed<T>(part: T | undefined, what: string): T {
  if (part === undefined) throw new Error(`the subject offers no ${what}: offer it, or skip this case by its name with the reason`);
  return part;
}
