import type { Clock, Timer } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import { copyPlain } from '../base/plain.ts';
import type { Activation } from './activation.ts';
import type { TimerSchedule } from './actor-context.ts';
import { OwnTurn } from './own-turn.ts';

/** One timer of one activation. */
export interface ActorTimer {
  readonly name: string;
  readonly everyMs: number | undefined;
  readonly input: unknown;
  /** Monotonic ms. Of a periodic timer whose tick waits: of the tick after it. */
  dueAt: number;
  handle: Timer | undefined;
  /** In the mailbox. */
  tick: Tick | undefined;
}

/** A turn that a timer asked for. */
export class Tick extends OwnTurn {
  readonly timer: ActorTimer;

  constructor(timer: ActorTimer) {
    super();
    this.timer = timer;
  }

  override get name(): string {
    return this.timer.name;
  }
}

/** Name, ms that are left, period, input. */
type PackedTimer = readonly [string, number, number | undefined, unknown];

/** What a platform timer takes at most; longer waits are done in steps. */
const stepMsMax = 2 ** 30;
/** After so long a tick comes again that could not run, since its actor could not be activated. */
const againMs = 1_000;

/** The timers of a node's actors (I15). */
export class TimerService {
  readonly #clock: Clock;
  readonly #deliver: (activation: Activation, tick: Tick) => void;

  constructor(clock: Clock, deliver: (activation: Activation, tick: Tick) => void) {
    this.#clock = clock;
    this.#deliver = deliver;
  }

  set(activation: Activation, name: string, schedule: TimerSchedule, input: unknown): void {
    if (!activation.type.definition.timers.has(name))
      throw invalid(`actor ${activation.type.name} declares no timer "${safeText(name, 64)}"`);
    const { afterMs, everyMs } = schedule;
    const delayMs = afterMs ?? everyMs;
    const isOne = (afterMs === undefined) !== (everyMs === undefined);
    if (!isOne || !(delayMs !== undefined && delayMs >= (everyMs === undefined ? 0 : 1)) || !Number.isFinite(delayMs)) {
      throw invalid('a timer takes either afterMs, 0 or more, or everyMs, 1 or more');
    }
    this.cancel(activation, name);
    this.#add(activation, {
      name,
      everyMs,
      input: copyPlain(input),
      dueAt: this.#clock.now() + delayMs,
      handle: undefined,
      tick: undefined,
    });
  }

  cancel(activation: Activation, name: string): boolean {
    const timers = activation.extras?.timers;
    const timer = timers?.get(name);
    if (timers === undefined || timer === undefined) return false;
    timer.handle?.cancel();
    // A tick that waits in the mailbox belongs to nothing now, and will not run.
    timer.tick = undefined;
    timers.delete(name);
    if (timers.size === 0) activation.own.timers = undefined;
    return true;
  }

  /** The tick's turn has come. False: it was cancelled meanwhile and does not run. */
  begin(activation: Activation, tick: Tick): boolean {
    const { timer } = tick;
    if (timer.tick !== tick) return false;
    timer.tick = undefined;
    if (timer.everyMs === undefined) this.cancel(activation, timer.name);
    return true;
  }

  /** Stops the clocks of the actor's timers and keeps the timers for `carryOut`. */
  hold(activation: Activation): void {
    const timers = activation.extras?.timers;
    if (timers === undefined) return;
    for (const timer of timers.values()) {
      timer.handle?.cancel();
      timer.handle = undefined;
    }
  }

  /** The actor's ticks were taken out of its mailbox before they could run: they come again. */
  again(activation: Activation): void {
    for (const timer of activation.extras?.timers?.values() ?? []) {
      if (timer.tick === undefined) continue;
      timer.tick = undefined;
      if (timer.everyMs !== undefined) continue;
      timer.dueAt = this.#clock.now() + againMs;
      if (activation.slot.phase === 'open') this.#arm(activation, timer);
    }
  }

  /** Ends all timers of the actor. */
  cancelAll(activation: Activation): void {
    this.hold(activation);
    if (activation.extras !== undefined) activation.extras.timers = undefined;
  }

  /** The actor's timers as plain data, with what is left of them; undefined when it has none. */
  carryOut(activation: Activation): readonly PackedTimer[] | undefined {
    const timers = activation.extras?.timers;
    if (timers === undefined) return undefined;
    const now = this.#clock.now();
    return Array.from(timers.values(), (timer) => {
      const leftMs = timer.tick === undefined ? Math.max(0, timer.dueAt - now) : 0;
      return [timer.name, leftMs, timer.everyMs, timer.input];
    });
  }

  /** Takes what `carryOut` gave on another node. Timers that this node's definition does not declare are left out. */
  carryIn(activation: Activation, packed: unknown): void {
    if (!Array.isArray(packed)) return;
    const now = this.#clock.now();
    for (const item of packed) {
      if (!Array.isArray(item)) continue;
      const [name, leftMs, everyMs, input] = item as unknown[];
      const isPeriod = everyMs === undefined || everyMs === null || (typeof everyMs === 'number' && everyMs >= 1);
      if (typeof name !== 'string' || typeof leftMs !== 'number' || !(leftMs >= 0) || !isPeriod) continue;
      if (!activation.type.definition.timers.has(name)) continue;
      this.#add(activation, { name, everyMs: everyMs ?? undefined, input, dueAt: now + leftMs, handle: undefined, tick: undefined });
    }
  }

  #add(activation: Activation, timer: ActorTimer): void {
    (activation.own.timers ??= new Map()).set(timer.name, timer);
    if (activation.slot.phase === 'open') this.#arm(activation, timer);
  }

  #arm(activation: Activation, timer: ActorTimer): void {
    const delayMs = Math.max(0, Math.min(stepMsMax, timer.dueAt - this.#clock.now()));
    timer.handle = this.#clock.setTimer(delayMs, () => this.#fire(activation, timer));
  }

  #fire(activation: Activation, timer: ActorTimer): void {
    const now = this.#clock.now();
    if (now < timer.dueAt) {
      this.#arm(activation, timer);
      return;
    }
    timer.handle = undefined;
    if (timer.everyMs !== undefined) {
      timer.dueAt += timer.everyMs * (1 + Math.floor((now - timer.dueAt) / timer.everyMs));
      this.#arm(activation, timer);
      if (timer.tick !== undefined) return;
    }
    timer.tick = new Tick(timer);
    this.#deliver(activation, timer.tick);
  }
}

function invalid(text: string): PerkeyError {
  return new PerkeyError('options.invalid', text);
}
