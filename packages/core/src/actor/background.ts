import { bareError } from '../base/bare-error.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Caller } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { BackgroundContext, BackgroundWork } from './actor-context.ts';
import { bindHandle, bindNotifyHandle } from './handle-classes.ts';
import type { ActorHandle, NotifyHandle } from './handle-classes.ts';
import type { AnyContract } from './method-spec.ts';
import { invalidKey, isKey } from './names.ts';

export interface BackgroundTask {
  readonly name: string;
  readonly controller: AbortController;
}

export interface BackgroundRunnerOptions {
  readonly backgroundMax: number;
  readonly keyBytesMax: number;
  readonly caller: () => Caller;
  logOf(activation: Activation): Logger;
  onFailure(activation: Activation, what: string, thrown: unknown): void;
  /** A task has ended. */
  onEnd(activation: Activation): void;
}

/** Runs the background work of a node's actors, beside their turns. */
export class BackgroundRunner {
  readonly #options: BackgroundRunnerOptions;
  #running = 0;

  constructor(options: BackgroundRunnerOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  start(activation: Activation, name: string, work: BackgroundWork<AnyContract>): void {
    if (typeof work !== 'function') throw new TypeError('background work is a function');
    const tasks = (activation.own.background ??= new Set());
    const { backgroundMax } = this.#options;
    if (tasks.size >= backgroundMax) {
      throw bareError('node.overloaded', `actor ${activation.type.name} runs backgroundMax = ${backgroundMax} background tasks already`);
    }
    const task: BackgroundTask = { name, controller: new AbortController() };
    if (activation.slot.phase !== 'open') task.controller.abort(leaving());
    tasks.add(task);
    this.#running += 1;
    void this.#run(activation, task, work);
  }

  /** Tells the actor's background work that the actor is deactivated. */
  abort(activation: Activation): void {
    const tasks = activation.extras?.background;
    if (tasks === undefined) return;
    const reason = leaving();
    for (const task of tasks) task.controller.abort(reason);
  }

  async #run(activation: Activation, task: BackgroundTask, work: BackgroundWork<AnyContract>): Promise<void> {
    // Not inside the turn that asked for it.
    await Promise.resolve();
    try {
      await work(new BackgroundScope(activation, task.controller.signal, this.#options));
    } catch (thrown) {
      // Work that was told to stop may end with whatever its signal made it throw.
      if (!task.controller.signal.aborted) this.#options.onFailure(activation, `background.${task.name}`, thrown);
    }
    this.#running -= 1;
    const extras = activation.own;
    extras.background?.delete(task);
    if (extras.background?.size === 0) extras.background = undefined;
    activation.slot.settled(activation);
    this.#options.onEnd(activation);
  }
}

class BackgroundScope implements BackgroundContext<AnyContract> {
  readonly signal: AbortSignal;
  readonly #activation: Activation;
  readonly #options: BackgroundRunnerOptions;

  constructor(activation: Activation, signal: AbortSignal, options: BackgroundRunnerOptions) {
    this.signal = signal;
    this.#activation = activation;
    this.#options = options;
  }

  get log(): Logger {
    return this.#options.logOf(this.#activation);
  }

  get self(): NotifyHandle<AnyContract> {
    return bindNotifyHandle(this.#activation.type.contract, this.#activation.key, this.#options.caller());
  }

  actor<Other extends AnyContract>(contract: Other, key: string): ActorHandle<Other> {
    return bindHandle(contract, this.#checkedKey(key), this.#options.caller());
  }

  notify<Other extends AnyContract>(contract: Other, key: string): NotifyHandle<Other> {
    return bindNotifyHandle(contract, this.#checkedKey(key), this.#options.caller());
  }

  #checkedKey(key: string): string {
    if (!isKey(key, this.#options.keyBytesMax)) throw invalidKey(key, this.#options.keyBytesMax);
    return key;
  }
}

function leaving(): PerkeyError {
  return bareError('turn.abandoned', 'the actor is being deactivated on this node', { executed: 'unknown' });
}
