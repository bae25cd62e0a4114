export { type Broker, type BrokerOptions, openBroker, withoutCredentials } from './broker.ts';
export { brokerSettings } from './broker-settings.ts';
export { EventLoop } from './event-loop.ts';
export { createLog, libraryLog } from './log.ts';
export { type Program, run } from './program.ts';
