import type { DurableTurn } from '../actor/durability.ts';
import { digestName } from '../base/digest.ts';
import type { Random } from '../base/random.ts';
import type { EventMetadata } from '../events/stored-event.ts';
import { noHeaders } from '../contract/calls.ts';

/** Names commits. */
export class CommitIds {
  readonly #prefix: string;
  #count = 0;

  constructor(random: Random) {
    this.#prefix = random.hex(12);
  }

  /** The same for every repeat of a request with an idempotency key, on any node; else never given before. */
  of({ request, activation }: DurableTurn): string {
    if (request?.idempotencyKey !== undefined) {
      return digestName(JSON.stringify([activation.type.name, activation.key, request.method, request.caller, request.idempotencyKey]));
    }
    this.#count += 1;
    return `${this.#prefix}.${this.#count.toString(36)}`;
  }
}

/** From the headers of the request; whose name it is told only where the transport proves it. */
export function metadataOf({ request }: DurableTurn): EventMetadata | undefined {
  if (request === undefined) return undefined;
  const { headers, source } = request;
  const principal = source === undefined || source.principal === '' ? undefined : source.principal;
  if (headers === noHeaders && principal === undefined) return undefined;
  return {
    correlation: headers['correlation-id'],
    causation: headers['causation-id'],
    trace: headers['traceparent'],
    principal,
  };
}
