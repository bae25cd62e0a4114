import { describeThrown } from '../base/errors.ts';
import { copyPlain } from '../base/plain.ts';
import type { CallOptions, Caller } from '../contract/calls.ts';

/**
 * What a turn wants done when it is stored (the output gate): one-way messages, in their order, and background work. Whatever comes after the
 * turn's end is done at once; what a failed turn left is never done.
 */
export class HeldMessages {
  readonly #onFailure: (text: string) => void;
  #waiting: (() => void)[] | undefined = undefined;
  #released = false;

  /** `onFailure` hears of what could not be done when its time had come. */
  constructor(onFailure: (text: string) => void) {
    this.#onFailure = onFailure;
  }

  /** Does `action` when the turn is stored. */
  hold(action: () => void): void {
    if (this.#released) action();
    else (this.#waiting ??= []).push(action);
  }

  /** The turn begins anew, or has failed. */
  drop(): void {
    this.#waiting = undefined;
  }

  release(): void {
    this.#released = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    for (const action of waiting) {
      try {
        action();
      } catch (thrown) {
        this.#onFailure(describeThrown(thrown));
      }
    }
  }
}

/** Sends one-way messages through the gate, and requests at once. */
export class HeldCaller implements Caller {
  readonly #caller: Caller;
  readonly #held: HeldMessages;

  constructor(caller: Caller, held: HeldMessages) {
    this.#caller = caller;
    this.#held = held;
  }

  request(type: string, method: string, key: string, input: unknown, options?: CallOptions): Promise<unknown> {
    return this.#caller.request(type, method, key, input, options);
  }

  /** Throws `payload.not_plain` and `payload.too_large` at once; what else keeps the message from being sent is logged. */
  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void {
    const copy = copyPlain(input);
    this.#held.hold(() => this.#caller.notify(type, method, key, copy, options));
  }
}
