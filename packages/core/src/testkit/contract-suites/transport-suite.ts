import { defineSuite } from './suite.ts';
import type { SuiteOptions } from './suite.ts';
import { transportDataCases } from './transport-data-cases.ts';
import { transportForeignCases } from './transport-foreign-cases.ts';
import { transportStateCases } from './transport-state-cases.ts';
import { TransportWorld } from './transport-world.ts';
import type { TransportSubject } from './transport-world.ts';

/** What every `Transport` must do, whatever it is made of. The record stores of its control links have a suite of their own. */
export function transportSuite(options: SuiteOptions<TransportSubject>): void {
  const cases = { ...transportDataCases, ...transportStateCases, ...transportForeignCases };
  defineSuite(cases, { ...options, open: async () => new TransportWorld(await options.open()) });
}
