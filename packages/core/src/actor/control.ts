import type { Clock } from '../base/clock.ts';
import { copyPlain } from '../base/plain.ts';
import type { Guard } from '../contract/calls.ts';
import type { Activation, ActivationStatus } from './activation.ts';
import type { ActorControl } from './inspection.ts';
import type { Scheduler } from './scheduler.ts';
import type { TurnWatch } from './turn-watch.ts';

export interface ControlOptions {
  readonly scheduler: Scheduler;
  readonly watch: TurnWatch;
  readonly guard: Guard;
  readonly clock: Clock;
}

export class ActivationControl implements ActorControl {
  readonly #activation: Activation;
  readonly #o: ControlOptions;

  constructor(activation: Activation, options: ControlOptions) {
    this.#activation = activation;
    this.#o = options;
  }

  get status(): ActivationStatus {
    return this.#activation.status;
  }

  get waiting(): number {
    return this.#activation.waiting;
  }

  pause(): void {
    this.#activation.own.paused = true;
    if (this.#activation.status === 'idle') this.#activation.status = 'paused';
    this.#o.watch.hold(this.#activation);
  }

  resume(): void {
    this.#activation.own.paused = false;
    this.#o.watch.release(this.#activation);
    if (this.#activation.status === 'paused') this.#activation.status = 'idle';
    this.#o.scheduler.ready(this.#activation);
    this.#o.scheduler.resume();
  }

  async step(): Promise<boolean> {
    const activation = this.#activation;
    const { guard, clock, scheduler } = this.#o;
    if (activation.status !== 'paused' || !guard.mayAct(clock.now()) || !scheduler.step(activation)) return false;
    if (activation.pending === undefined) return true;
    await new Promise<void>((resolve) => {
      activation.own.onTurnEnd = resolve;
    });
    return true;
  }

  state(): unknown {
    return copyPlain(this.#activation.state);
  }
}
