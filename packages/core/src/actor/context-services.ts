import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Caller } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { BackgroundRunner } from './background.ts';
import type { TimerService } from './timers.ts';

/** What the contexts of a node's turns stand on. */
export interface ContextServices {
  readonly nodeId: string;
  readonly keyBytesMax: number;
  readonly clock: Clock;
  readonly caller: () => Caller;
  readonly timers: TimerService;
  readonly background: BackgroundRunner;
  logOf(activation: Activation): Logger;
  /** A call of a turn failed when the turn had ended: nobody waits for it any more. */
  onForgotten(activation: Activation, thrown: unknown): void;
}
