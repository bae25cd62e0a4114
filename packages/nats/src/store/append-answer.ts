import { safeText } from '@perkey/core';
import type { AppendOutcome } from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import { faultText, jsErrors } from '../store-api.ts';
import type { JsFault } from '../store-api.ts';

/** What the leader of a stream says where a limit of the stream or of the account is reached; it says so before it stores anything. */
const limitCodes: ReadonlySet<number> = new Set([10_002, 10_023, 10_028, 10_047]);
const storeFailed = 10_077;
/** `storeFailed` names a limit, which stores nothing, or a fault of the disk, after which the record may be there or not. */
const limitText = /maximum (bytes|messages)/;
const messageTooLarge = 10_054;

export const nobodyThere: AppendOutcome = Object.freeze({
  kind: 'refused',
  reason: 'unavailable',
  text: 'no server took the append: the log has no leader, or is gone',
});

/** Whether the server says that nobody listened at the subject: then no server of the log has got the append, nor ever will. */
export function reachedNobody(message: Msg): boolean {
  return message.data.length === 0 && message.headers?.code === 503;
}

/** Reads the acknowledgements of one stream. */
export class AckReader {
  readonly #natsStream: string;
  /** `{"stream":"<name>",`, with which all acknowledgements begin but those of a server with a domain. */
  readonly #beginning: Buffer;

  constructor(natsStream: string) {
    this.#natsStream = natsStream;
    this.#beginning = Buffer.from(`{"stream":"${natsStream}",`, 'latin1');
  }

  /** The sequence in an acknowledgement of the usual form; 0 for anything else, which `slow` then reads. */
  fast(data: Uint8Array): number {
    const beginning = this.#beginning;
    const { length } = beginning;
    if (data.length < length + 8) return 0;
    for (let i = 0; i < length; i += 1) if (data[i] !== beginning[i]) return 0;
    let at = data[length] === 0x20 ? length + 1 : length;
    // "seq":
    if (data[at] !== 0x22 || data[at + 1] !== 0x73 || data[at + 2] !== 0x65 || data[at + 3] !== 0x71 || data[at + 5] !== 0x3a) return 0;
    at += 6;
    let sequence = 0;
    for (let digit = data[at]; digit !== undefined && digit >= 0x30 && digit <= 0x39; digit = data[at]) {
      sequence = sequence * 10 + digit - 0x30;
      at += 1;
    }
    return at === data.length - 1 && data[at] === 0x7d && Number.isSafeInteger(sequence) ? sequence : 0;
  }

  /**
   * What an answer means that is not `reachedNobody`. Only what the leader is known to say before it stores anything is a refusal; every
   * other error is `unknown`, since it may have struck after the record was stored, or in a leader that was deposed.
   */
  slow(data: Uint8Array): AppendOutcome {
    let reply: { readonly error?: JsFault; readonly stream?: unknown; readonly seq?: unknown };
    try {
      reply = JSON.parse(Buffer.from(data).toString('utf8')) as typeof reply;
    } catch {
      return { kind: 'unknown', text: 'the answer to the append is not JSON' };
    }
    if (typeof reply !== 'object' || reply === null) return { kind: 'unknown', text: 'the answer to the append is not an object' };
    if (reply.error !== undefined) return faultOutcome(reply.error);
    if (reply.stream === this.#natsStream && Number.isSafeInteger(reply.seq) && (reply.seq as number) > 0)
      return { kind: 'appended', sequence: reply.seq as number };
    return { kind: 'unknown', text: 'the acknowledgement is not one of this log' };
  }
}

function faultOutcome(fault: JsFault): AppendOutcome {
  const code = fault.err_code ?? 0;
  if (code === jsErrors.wrongLastSequence || code === jsErrors.wrongLastSequenceInFlight) return { kind: 'conflict' };
  const text = `NATS said: ${safeText(faultText(fault))}`;
  if (limitCodes.has(code) || (code === storeFailed && limitText.test(fault.description ?? '')))
    return { kind: 'refused', reason: 'full', text };
  if (code === messageTooLarge) return { kind: 'refused', reason: 'too_large', text };
  return { kind: 'unknown', text };
}
