export { nats } from './nats.ts';
export {
  type NatsCredentials,
  type NatsLimits,
  type NatsOptions,
  natsOptionTable,
  type NatsOptionTable,
  type NatsTlsOptions,
} from './options.ts';
export { jetstream } from './store/jetstream.ts';
export { type JetStreamLimits, type JetStreamOptions, jetstreamOptionTable, type JetStreamOptionTable } from './store/jetstream-options.ts';
export { followSupervisor, reportIncarnation } from './supervised-child.ts';
export { supervise } from './supervisor.ts';
export {
  type ChildExit,
  type SupervisedCommand,
  type Supervisor,
  type SupervisorLimits,
  type SupervisorOptions,
  supervisorOptionTable,
  type SupervisorOptionTable,
} from './supervisor-options.ts';
