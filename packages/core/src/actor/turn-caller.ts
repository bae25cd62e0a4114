import { noHeaders } from '../contract/calls.ts';
import type { CallOptions, Caller, Headers, InboundRequest } from '../contract/calls.ts';
import { endedTurn } from './refusals.ts';

/** W3C trace context and baggage, and the name of the story that a call is part of: what calls and messages inherit. */
const inheritedHeaders: readonly string[] = ['traceparent', 'tracestate', 'baggage', 'correlation-id'];

/** The caller that handles made by one turn use: calls inherit the deadline, the call chain and the inherited headers of the turn. */
export class TurnCaller implements Caller {
  readonly #caller: Caller;
  readonly #request: InboundRequest | undefined;
  readonly #isLive: () => boolean;
  readonly #onForgotten: (thrown: unknown) => void;
  readonly #chain: readonly string[];
  readonly #traced: Headers;

  /** `address`: of the actor that calls. `request`: what its turn works for, if anybody waits for it. */
  constructor(
    caller: Caller,
    address: string,
    request: InboundRequest | undefined,
    isLive: () => boolean,
    onForgotten: (thrown: unknown) => void,
  ) {
    this.#caller = caller;
    this.#request = request;
    this.#isLive = isLive;
    this.#onForgotten = onForgotten;
    this.#chain = request === undefined ? [address] : [...request.chain, address];
    this.#traced = inherited(request);
  }

  request(type: string, method: string, key: string, input: unknown, options?: CallOptions): Promise<unknown> {
    if (!this.#isLive()) return Promise.reject(endedTurn());
    const deadline = Math.min(this.#request?.deadline ?? Infinity, options?.deadline ?? Infinity);
    const answer = this.#caller.request(type, method, key, input, {
      ...options,
      deadline: deadline === Infinity ? undefined : deadline,
      chain: this.#chain,
      headers: this.#headers(options),
    });
    // What a handler forgot to await must not end the process, and all actors with it, as a rejection that nobody handles does.
    answer.catch((thrown: unknown) => {
      if (!this.#isLive()) this.#onForgotten(thrown);
    });
    return answer;
  }

  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void {
    if (!this.#isLive()) throw endedTurn();
    this.#caller.notify(type, method, key, input, { ...options, chain: this.#chain, headers: this.#headers(options) });
  }

  #headers(options: CallOptions | undefined): Headers {
    return options?.headers === undefined ? this.#traced : { ...this.#traced, ...options.headers };
  }
}

/** Those headers of a turn's request that what the turn sends inherits. */
export function inherited(request: InboundRequest | undefined): Headers {
  const headers = request?.headers ?? noHeaders;
  if (headers === noHeaders) return noHeaders;
  const picked: Record<string, string> = {};
  for (const name of inheritedHeaders) {
    const value = headers[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
