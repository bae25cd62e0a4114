import type { CallOptions } from '@perkey/core';
import type { FastifyInstance } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { sendProblem } from './http-server.ts';
import { notFound, Problem } from './problem.ts';

const empty: Readonly<Record<string, unknown>> = Object.freeze({});

/** The object that a body holds; an empty one where there is no body. What its fields may be is checked by the contract, on the node. */
export function bodyOf(body: unknown): Readonly<Record<string, unknown>> {
  if (body === undefined || body === '') return empty;
  const value = fromJson(body as string);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Problem(400, 'input.invalid', 'no', 'The body is not a JSON object.');
  }
  return value as Readonly<Record<string, unknown>>;
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(400, 'http.body_not_json', 'no', 'The body is not JSON.');
  }
}

const timeoutMsDefault = 5_000;
const timeoutMsMax = 60_000;
const usual: CallOptions = Object.freeze({ timeoutMs: timeoutMsDefault });
const traceparentForm = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}(-|$)/;

/** What a request says of the call that it makes: how long it may take, its trace, and for a POST the key of its repeats. */
export function callOptions(headers: IncomingHttpHeaders, idempotencyKey?: string | string[]): CallOptions {
  const { 'x-request-timeout-ms': timeout, traceparent } = headers;
  if (timeout === undefined && traceparent === undefined && idempotencyKey === undefined) return usual;
  return {
    timeoutMs: timeout === undefined ? timeoutMsDefault : timeoutMs(String(timeout)),
    idempotencyKey: idempotencyKey === undefined ? undefined : checkedKey(String(idempotencyKey)),
    headers: typeof traceparent === 'string' && traceparentForm.test(traceparent) ? { traceparent } : undefined,
  };
}

/** A longer timeout is cut to the longest. */
function timeoutMs(text: string): number {
  if (!/^0*[1-9]\d{0,8}$/.test(text)) {
    throw new Problem(400, 'http.bad_header', 'no', 'X-Request-Timeout-Ms is not a positive integer of milliseconds.');
  }
  return Math.min(Number(text), timeoutMsMax);
}

function checkedKey(key: string): string {
  if (key.length > 0 && key.length <= 256) return key;
  throw new Problem(400, 'http.bad_header', 'no', 'Idempotency-Key is not a text of 1 to 256 characters.');
}

/** Every other method on these paths is answered with 405. An empty `:id` is no path. */
export function allowOnly(app: FastifyInstance, allowed: readonly string[], paths: readonly string[]): void {
  const method = app.supportedMethods.filter((name) => !allowed.includes(name));
  const problem = new Problem(405, 'http.method_not_allowed', 'no', 'The path is there, but not for this method.', {
    headers: { allow: allowed.join(', ') },
  });
  for (const url of paths) {
    app.route<{ Params: { id?: string } }>({
      method,
      url,
      handler: ({ params }, reply) => sendProblem(reply, params.id === '' ? notFound() : problem),
    });
  }
}
