export { nats } from './nats.ts';
export {
  type NatsCredentials,
  type NatsLimits,
  type NatsOptions,
  natsOptionTable,
  type NatsOptionTable,
  type NatsTlsOptions,
} from './options.ts';
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
