export { type Clock, systemClock, type Timer } from './base/clock.ts';
export {
  errorCatalogue,
  type ErrorCode,
  type ErrorDetails,
  type ErrorKind,
  type ErrorOptions,
  type Executed,
  isErrorCode,
  PerkeyError,
  type RetryRule,
} from './base/errors.ts';
export { type Logger, silentLogger } from './base/log.ts';
export { LogLimiter, safeText } from './base/log-text.ts';
export type { Counter, Gauge, Histogram, Labels, MetricFamily, Metrics, Series } from './base/metrics.ts';
export { noMetrics } from './base/metrics.ts';
export { MetricsRegistry } from './base/metrics-registry.ts';
export { type OptionRow, optionRows, type OptionTable, parseOption, type ResolvedOptions, resolveOptions } from './base/options.ts';
export { type Random, seededRandom, systemRandom } from './base/random.ts';
export { type Caller, type CallOptions, type CallSource, type Headers } from './contract/calls.ts';
export type {
  AppendListener,
  AppendOutcome,
  CommitLog,
  LogAppend,
  LogBatch,
  LogFilter,
  LogRead,
  LogRecord,
  RefusedAppend,
  StreamName,
} from './contract/commit-log.ts';
export type { ReadModel } from './contract/read-model.ts';
export type { RecordListener, RecordStore, StoredRecord, Watch, WriteOutcome } from './contract/record-store.ts';
export type { Durability, KeptRecords, OpenStore, Snapshot, SnapshotStore, Store, StoreEnvironment } from './contract/store.ts';
export {
  type Address,
  type ClientRole,
  type ControlLink,
  type ControlLinkEvents,
  type DataLink,
  type DataLinkEvents,
  type ForeignCall,
  type LinkEnvironment,
  type NodeRole,
  plainVia,
  type Publication,
  type Publish,
  type ServiceDescription,
  type Transport,
  type Via,
} from './contract/transport.ts';
export type { ActorContext, ActorTimers, BackgroundContext, BackgroundWork, TimerSchedule } from './actor/actor-context.ts';
export type { AggregateDefinition, AggregateImplementation } from './actor/aggregate.ts';
export type {
  AggregateContext,
  HistoryEvent,
  HistoryOptions,
  MissedReminders,
  Outbox,
  QueryContext,
  ReminderEntry,
  Reminders,
  ReminderSchedule,
  StoringContext,
} from './actor/aggregate-context.ts';
export type { EventFacts, EventPair, EventSpec, EventSpecs } from './actor/event-specs.ts';
export { type ActorError, isActorError } from './actor/domain-error.ts';
export { type ActorContract, type ActorDefinition, defineActor } from './actor/definition.ts';
export { type DeactivationReason, type UnknownCall } from './actor/implementation.ts';
export type { CallSettings, NotifySettings } from './actor/call-settings.ts';
export type { ActorHandle, NotifyHandle } from './actor/handle-classes.ts';
export type { ActorControl, ActorInspection, DurableInspection, HostInspection } from './actor/inspection.ts';
export type { Authorize, CallToAuthorize } from './actor/authorization.ts';
export type { IncomingCall, TurnMiddleware } from './actor/middleware.ts';
export { type CallMiddleware, type Client, type ClientOptions, connect, type OutgoingCall } from './client/client.ts';
export type { HostedProjections } from './cluster/hosted-projections.ts';
export { type Node, type NodeInspection, type NodeOptions, type NodeState, startNode } from './cluster/node.ts';
export { callerOptions, nodeOptions } from './cluster/settings.ts';
export { describeThrown } from './base/errors.ts';
export type { GivenOptions } from './base/options.ts';
export type { MemoryCluster } from './memory/memory-cluster.ts';
export { type ForeignCallInput, type MemoryHub, type MemoryHubOptions, memory, memoryHub } from './memory/memory-hub.ts';
export { memoryStore, type MemoryStoreOptions } from './memory/memory-store.ts';
export type { OutboxDraft } from './durable/drafts.ts';
export type { DeadMessage } from './durable/outbox/dead-messages.ts';
export type { AppendResult } from './events/append-result.ts';
export type { DeadLetter } from './events/dead-letters.ts';
export type { Generation, Generations } from './events/generations.ts';
export {
  defineProjection,
  type ErrorStrategy,
  type Projection,
  type ProjectionContext,
  type ProjectionDefinition,
  type RetryPolicy,
} from './events/projection.ts';
export type { ProjectionStatus } from './events/projection-group.ts';
export {
  type Commit,
  type CommitAuthor,
  type CommitDraft,
  type CommitKind,
  type CommitNotes,
  type CommittedReply,
  type EventDraft,
  type KeptState,
  noHead,
  type ReminderChange,
  type StreamHead,
} from './events/commit.ts';
export { Bookkeeping, type BookkeepingLimits, type PendingMessage, type RememberedReply } from './events/bookkeeping.ts';
export { EventCatalogue, type EventKind, type Upcast } from './events/event-catalogue.ts';
export type { EventBatch, EventRead } from './events/event-reads.ts';
export { EventStore, type EventStoreParts } from './events/event-store.ts';
export type { LoadOptions } from './events/load.ts';
export type { Settlement } from './events/settle.ts';
export { eventOptions } from './events/settings.ts';
export type { EventMetadata, StoredEvent } from './events/stored-event.ts';
export type { StreamEpoch, StreamProblem, StreamReport } from './events/verify.ts';
