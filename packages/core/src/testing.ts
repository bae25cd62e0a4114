export { recordStoreSuite, type RecordStoreSubject } from './testkit/contract-suites/record-store-suite.ts';
export { storeSuite } from './testkit/contract-suites/store-suite.ts';
export { storeEnvironment, type StoreSubject } from './testkit/contract-suites/store-world.ts';
export type { SuiteOptions, SuiteTest } from './testkit/contract-suites/suite.ts';
export { transportSuite } from './testkit/contract-suites/transport-suite.ts';
export type { Outage, TransportSubject } from './testkit/contract-suites/transport-world.ts';
export { FaultyTransport, type FaultyTransportOptions } from './testkit/faulty-transport.ts';
export type { CutOptions, Direction, LinkKind, ProcessFaults } from './testkit/faults/process-faults.ts';
export type { HistoryEntry, RecordHistory, StoreName } from './testkit/faults/record-history.ts';
export type { StoreFaults, WriteFault } from './testkit/faults/store-faults.ts';
export { appendList } from './testkit/history/append-list.ts';
export {
  checkHistory,
  type CheckHistoryOptions,
  expectHistory,
  type HistoryVerdict,
  type StateLoss,
  verdictText,
} from './testkit/history/check.ts';
export { counter } from './testkit/history/counter.ts';
export type { HistoryFigures, Percentiles } from './testkit/history/figures.ts';
export type { HistoryFinding, HistoryRule } from './testkit/history/finding.ts';
export {
  historyFromLines,
  historyFromStream,
  type HistoryLinesOptions,
  historyToLines,
  MalformedHistory,
} from './testkit/history/lines.ts';
export {
  type Answer,
  type Call,
  type History,
  type LoggedEvent,
  mergeHistories,
  type Operation,
  type OutcomeKind,
} from './testkit/history/operation.ts';
export { type AliveAtTheEnd, gapsPerKey, type KeyGap } from './testkit/history/liveness.ts';
export type { HistoryModel, HistoryPlaces, PlacedOperation, PlaceFault, RelevantOperations } from './testkit/history/model.ts';
export { register } from './testkit/history/register.ts';
export type { LeastOfHistory } from './testkit/history/vacuity.ts';
export { HistoryRecorder, type HistoryRecorderOptions, type OpenCall } from './testkit/history/recorder.ts';
export { TestCluster, type TestClusterOptions } from './testkit/test-cluster.ts';
export { type UntilOptions, VirtualClock, type VirtualClockOptions } from './testkit/virtual-clock.ts';
