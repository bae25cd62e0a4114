import type { Headers } from '../contract/calls.ts';

/** One request as a node's middleware sees it. */
export interface IncomingCall {
  readonly type: string;
  readonly key: string;
  readonly method: string;
  /** After the schema's check, defaults and transforms. */
  readonly input: unknown;
  readonly headers: Headers;
  /** Who calls, as far as the transport knows; '' where nobody said. */
  readonly caller: string;
  readonly idempotencyKey: string | undefined;
  remainingMs(): number;
}

/**
 * Runs around each request of every actor of a node, inside its turn; the first of the list is the outermost. `next` runs the rest and
 * gives the handler's result (a promise where the handler is asynchronous). To refuse, throw before `next`: the caller gets
 * `request.refused`, not executed. What is thrown after `next` counts as thrown by the handler. What is returned is the reply.
 */
export type TurnMiddleware = (call: IncomingCall, next: () => unknown) => unknown;
