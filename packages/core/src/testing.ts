export { recordStoreSuite, type RecordStoreSubject } from './testkit/contract-suites/record-store-suite.ts';
export type { SuiteOptions, SuiteTest } from './testkit/contract-suites/suite.ts';
export { transportSuite } from './testkit/contract-suites/transport-suite.ts';
export type { Outage, TransportSubject } from './testkit/contract-suites/transport-world.ts';
export { type UntilOptions, VirtualClock, type VirtualClockOptions } from './testkit/virtual-clock.ts';
