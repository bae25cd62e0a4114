import type { Caller } from '../contract/calls.ts';
import type { ForeignCall } from '../contract/transport.ts';

/** How a node answers calls in JSON: as calls of its own, on behalf of who made them, for at most ten times the usual time. */
export function foreignAnswer(router: () => Caller, requestTimeoutMs: number): (call: ForeignCall) => Promise<unknown> {
  return ({ type, method, key, input, timeoutMs, headers, idempotencyKey, principal }) =>
    router().request(type, method, key, input, {
      ...{ headers, idempotencyKey, onBehalfOf: principal },
      timeoutMs: timeoutMs === undefined ? undefined : Math.min(Math.max(1, timeoutMs), requestTimeoutMs * 10),
    });
}
