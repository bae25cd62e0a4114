import { bareError } from '../base/bare-error.ts';
import type { Decoder } from '../base/decoder.ts';
import { Encoder } from '../base/encoder.ts';
import { isErrorCode, PerkeyError } from '../base/errors.ts';
import type { ErrorCode, ErrorDetails, Executed } from '../base/errors.ts';
import { asRefusal } from '../base/plain.ts';
import { Slab } from '../base/slab.ts';
import { EnvelopeReader, tooLarge } from './frame.ts';

/** u32 length of the whole envelope, u32 request id, u8 verdict; then the body. */
export const replyPrefixBytes = 9;

/** Room for a reply that is measured only because it may be too large. */
const largeReplyBytes = 65_536;

const verdictOk = 0;
const verdictError = 1;
const executedByNumber = Object.freeze(['no', 'yes', 'unknown'] as const);

/** The generic code for an error whose own code this version does not know. */
const genericCode: Readonly<Record<Executed, ErrorCode>> = Object.freeze({
  no: 'request.refused',
  yes: 'handler.failed',
  unknown: 'deadline.exceeded',
});

/** Throws `payload.not_plain` or `payload.too_large`; the encoder is then to be rewound. */
export function writeOk(encoder: Encoder, id: number, value: unknown): void {
  const start = encoder.length;
  encoder.u32(0);
  encoder.u32(id);
  encoder.u8(verdictOk);
  encoder.value(value);
  encoder.patchU32(start, encoder.length - start);
}

/**
 * Throws `payload.too_large` for a value that no envelope of `bytesMax` bytes can hold. For replies that take no wire form: they would, if
 * their actor were on another node.
 */
export function mustFitEnvelope(value: unknown, bytesMax: number): void {
  const encoder = new Encoder(new Slab(0));
  encoder.open(largeReplyBytes);
  encoder.message(bytesMax);
  writeOk(encoder, 0, value);
  if (encoder.length > bytesMax) throw tooLarge(encoder.length, bytesMax);
}

/** The encoder speaks of payloads; to a caller whose request was executed that is a reply. */
export function asReplyRefusal(thrown: unknown): PerkeyError {
  const { code, details, message, cause } = asRefusal(thrown);
  return bareError(code === 'payload.too_large' ? 'reply.too_large' : 'reply.not_plain', message, { details, cause });
}

/** Neither stack nor cause travel. Throws where the details cannot travel. */
export function writeError(encoder: Encoder, id: number, error: PerkeyError): void {
  const start = encoder.length;
  const hasDetails = Object.keys(error.details).length > 0;
  const length = error.retryAfterMs !== undefined ? 5 : hasDetails ? 4 : 3;
  encoder.u32(0);
  encoder.u32(id);
  encoder.u8(verdictError);
  encoder.array(length);
  encoder.string(error.code);
  encoder.string(error.message);
  encoder.value(executedByNumber.indexOf(error.executed));
  if (length > 3) encoder.value(hasDetails ? error.details : null);
  if (length > 4) encoder.value(error.retryAfterMs);
  encoder.patchU32(start, encoder.length - start);
}

/** Steps through a frame of replies. */
export class ReplyReader extends EnvelopeReader {
  constructor(frame: Uint8Array, decoder: Decoder) {
    super(frame, decoder, replyPrefixBytes);
  }

  /** The number that the caller gave to the request. */
  get id(): number {
    return this.view.getUint32(this.start + 4);
  }

  get ok(): boolean {
    return this.view.getUint8(this.start + 8) === verdictOk;
  }

  /** What the handler returned. Throws `reply.malformed`. */
  value(): unknown {
    try {
      return this.decoder.only(this.frame, this.start + replyPrefixBytes, this.end);
    } catch (thrown) {
      throw asMalformedReply(thrown);
    }
  }

  /** The error that came instead of a value; `reply.malformed` where it cannot be read. Has no stack: it was not made here. */
  error(): PerkeyError {
    try {
      if (this.view.getUint8(this.start + 8) !== verdictError) return malformedReply();
      return readError(this.decoder.only(this.frame, this.start + replyPrefixBytes, this.end));
    } catch (thrown) {
      return asMalformedReply(thrown);
    }
  }
}

function readError(body: unknown): PerkeyError {
  if (!Array.isArray(body)) return malformedReply();
  const [code, message, executedNumber, details, retryAfterMs] = body as unknown[];
  const executed = typeof executedNumber === 'number' ? executedByNumber[executedNumber] : undefined;
  if (typeof code !== 'string' || typeof message !== 'string' || executed === undefined) return malformedReply();
  const known = isErrorCode(code);
  const facts = typeof details === 'object' && details !== null && !Array.isArray(details) ? (details as ErrorDetails) : {};
  return bareError(known ? code : genericCode[executed], message, {
    executed,
    details: known ? facts : { ...facts, unknownCode: code },
    ...(Number.isFinite(retryAfterMs) && (retryAfterMs as number) >= 0 ? { retryAfterMs: retryAfterMs as number } : {}),
  });
}

function asMalformedReply(thrown: unknown): PerkeyError {
  if (thrown instanceof PerkeyError) return malformedReply();
  throw thrown;
}

function malformedReply(): PerkeyError {
  return bareError('reply.malformed', 'The reply could not be read.');
}
