export { VirtualClock } from './testkit/virtual-clock.ts';
export type { UntilOptions, VirtualClockOptions } from './testkit/virtual-clock.ts';
