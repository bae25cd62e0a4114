import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Headers, InboundRequest } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { IncomingCall, TurnMiddleware } from './middleware.ts';
import { turnRefusal } from './refusals.ts';
import type { TurnRefusal } from './refusals.ts';
import { isThenable } from '../base/thenable.ts';

class Incoming implements IncomingCall {
  readonly type: string;
  readonly key: string;
  readonly method: string;
  readonly input: unknown;
  readonly headers: Headers;
  readonly caller: string;
  readonly idempotencyKey: string | undefined;
  readonly #deadline: number;
  readonly #clock: Clock;

  constructor(activation: Activation, request: InboundRequest, input: unknown, clock: Clock) {
    this.type = activation.type.name;
    this.key = activation.key;
    this.method = request.method;
    this.input = input;
    this.headers = request.headers;
    this.caller = request.caller;
    this.idempotencyKey = request.idempotencyKey;
    this.#deadline = request.deadline;
    this.#clock = clock;
  }

  remainingMs(): number {
    return Math.max(0, this.#deadline - this.#clock.now());
  }
}

/** A node's middleware around one handler. */
export class MiddlewareChain {
  readonly #list: readonly TurnMiddleware[];
  readonly #clock: Clock;

  constructor(list: readonly TurnMiddleware[], clock: Clock) {
    this.#list = list;
    this.#clock = clock;
  }

  /** What the outermost middleware returns. Throws, or rejects with, `TurnRefusal` for what was thrown before `handler` was called. */
  run(activation: Activation, request: InboundRequest, input: unknown, handler: () => unknown): unknown {
    const call = new Incoming(activation, request, input, this.#clock);
    let isStarted = false;
    const step = (index: number): unknown => {
      const middleware = this.#list[index];
      if (middleware !== undefined) return middleware(call, () => step(index + 1));
      if (isStarted) throw new TypeError('a middleware called next() twice');
      isStarted = true;
      return handler();
    };
    const outcomeOf = (thrown: unknown): unknown => (isStarted ? thrown : refusal(thrown));
    let result: unknown;
    try {
      result = step(0);
    } catch (thrown) {
      throw outcomeOf(thrown);
    }
    if (!isThenable(result)) return result;
    return Promise.resolve(result).catch((thrown: unknown) => {
      throw outcomeOf(thrown);
    });
  }
}

/** Only what the middleware says with `request.refused` itself is told to the caller. */
function refusal(thrown: unknown): TurnRefusal {
  if (thrown instanceof PerkeyError && thrown.code === 'request.refused') return turnRefusal(thrown);
  return turnRefusal(bareError('request.refused', 'a middleware of the node refused the request', { cause: thrown }));
}
