import { PerkeyError, safeText } from '@perkey/core';
import type { Clock, Publication } from '@perkey/core';
import { headers as newHeaders } from '@nats-io/transport-node';
import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import type { LiveConnection } from './connection.ts';
import { faultText, parseReply, requestFault, type StoreApi, unavailable } from './store-api.ts';

/** How long it is believed whether a stream takes a subject. */
const knownMs = 10_000;
const knownMax = 1_000;

interface Known {
  readonly isKept: boolean;
  readonly until: number;
}

/**
 * Publishes the messages of outboxes. Where a stream takes the subject its acknowledgement is waited for, and the server leaves out what it has under
 * the same `Nats-Msg-Id` within the stream's duplicate window. Elsewhere a message is with the server, and reaches those who subscribe at that moment.
 */
export class Publisher {
  readonly #api: StoreApi;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();

  constructor(api: StoreApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** Rejects with `store.unavailable`, with `transport.refused` where the server does not allow it, with `options.invalid` for headers that NATS does not take. */
  async publish({ subject, id, headers, data }: Publication): Promise<void> {
    const marks = marksOf(id, headers);
    const isKept = await this.#isKept(subject);
    const { live, timeoutMs } = this.#api;
    if (live === undefined) throw unavailable('not connected to NATS');
    if (!isKept) return this.#tell(live, subject, data, marks);
    let answer: Msg;
    try {
      answer = await live.nats.request(subject, data, { timeout: timeoutMs, headers: marks });
    } catch (error) {
      this.#known.delete(subject);
      throw requestFault(error);
    }
    const { error, stream } = parseReply(answer);
    if (error !== undefined) throw unavailable(faultText(error));
    if (typeof stream !== 'string') throw unavailable('somebody else than a stream answered to the subject');
  }

  /** What nobody answers to: that the server refused it is told beside, before it answers to the flush. */
  async #tell({ nats, refusals }: LiveConnection, subject: string, data: Uint8Array, marks: MsgHdrs): Promise<void> {
    const before = refusals.of(subject);
    nats.publish(subject, data, { headers: marks });
    await nats.flush();
    await new Promise<void>((resolve) => this.#clock.defer(resolve));
    if (refusals.of(subject) === before) return;
    throw new PerkeyError('transport.refused', `NATS does not allow the control connection to publish to ${safeText(subject)}`);
  }

  async #isKept(subject: string): Promise<boolean> {
    const now = this.#clock.now();
    const known = this.#known.get(subject);
    if (known !== undefined && known.until > now) return known.isKept;
    const { error, streams } = await this.#api.request('$JS.API.STREAM.NAMES', JSON.stringify({ subject }));
    if (error !== undefined) throw unavailable(faultText(error));
    const isKept = Array.isArray(streams) && streams.length > 0;
    if (this.#known.size >= knownMax) this.#known.clear();
    this.#known.set(subject, { isKept, until: now + knownMs });
    return isKept;
  }
}

function marksOf(id: string, headers: Publication['headers']): MsgHdrs {
  const marks = newHeaders();
  try {
    for (const [name, value] of Object.entries(headers)) marks.set(name, value);
  } catch (cause) {
    throw new PerkeyError('options.invalid', 'a header of the message is none that NATS takes', { cause });
  }
  marks.set('Nats-Msg-Id', id);
  return marks;
}
