export { nats } from './nats.ts';
export { type NatsCredentials, type NatsLimits, type NatsOptions, natsOptionTable, type NatsTlsOptions } from './options.ts';
export { followSupervisor, reportIncarnation } from './supervised-child.ts';
export {
  type ChildExit,
  supervise,
  type SupervisedCommand,
  type Supervisor,
  type SupervisorOptions,
  supervisorOptionTable,
} from './supervisor.ts';
