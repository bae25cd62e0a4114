export { recordStoreSuite, type RecordStoreSubject } from './testkit/contract-suites/record-store-suite.ts';
export { storeSuite } from './testkit/contract-suites/store-suite.ts';
export { storeEnvironment, type StoreSubject } from './testkit/contract-suites/store-world.ts';
export type { SuiteOptions, SuiteTest } from './testkit/contract-suites/suite.ts';
export { transportSuite } from './testkit/contract-suites/transport-suite.ts';
export type { Outage, TransportSubject } from './testkit/contract-suites/transport-world.ts';
export { type CorpusOptions, type CorpusResult, readCorpus, takeCorpus } from './testkit/corpus.ts';
export { type AppliedAppend, FaultyStore, type FaultyStoreOptions } from './testkit/faulty-store.ts';
export { FaultyTransport, type FaultyTransportOptions } from './testkit/faulty-transport.ts';
export type { AppendFault, CommitFaults } from './testkit/faults/commit-faults.ts';
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
export { describeFault, type Fault, type FaultKind, faultKinds } from './testkit/simulation/fault.ts';
export { simulate, type SimulationBody, type SimulationOptions, type SimulationReport } from './testkit/simulation/simulate.ts';
export type { SimulatedClient } from './testkit/simulation/simulated-client.ts';
export type { SimulatedNode } from './testkit/simulation/simulated-node.ts';
export type { SimulatedProcess } from './testkit/simulation/simulated-process.ts';
export { describeEntry, SimulationFailure } from './testkit/simulation/simulation-failure.ts';
export type { TraceEntry } from './testkit/simulation/trace.ts';
export {
  standardWorkload,
  type Workload,
  type WorkloadFigures,
  type WorkloadOptions,
} from './testkit/simulation/workload/standard-workload.ts';
export type { SimulationWorld } from './testkit/simulation/world.ts';
export { TestCluster, type TestClusterOptions } from './testkit/test-cluster.ts';
export { type UntilOptions, VirtualClock, type VirtualClockOptions } from './testkit/virtual-clock.ts';
export { type Decision, given, type GivenAggregate, type GivenOptions, type SentMessage } from './testkit/given.ts';
