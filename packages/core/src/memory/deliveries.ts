import type { Clock } from '../base/clock.ts';

/**
 * Runs what hands something over that has arrived for a process; `undefined`: it is handed over while it is being sent, to a transport around
 * this one that keeps everything back itself and runs nothing of the process by then.
 */
export type Deliveries = ((run: () => void) => void) | undefined;

/** On the clock of the process, a turn of the event loop later. */
export function deferredDeliveries(clock: Clock): Deliveries {
  return (run) => clock.defer(run);
}
