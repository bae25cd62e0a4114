import type { PerkeyError } from '../base/errors.ts';
import { PlainCopy } from '../base/plain.ts';
import type { ReplyPort } from '../contract/calls.ts';
import { frameHeaderBytes } from './frame.ts';
import { asReplyRefusal, mustFitEnvelope, replyPrefixBytes } from './reply-envelope.ts';

export interface AnswerTaker {
  onOk(id: number, value: unknown, now: number): void;
  onError(id: number, error: PerkeyError): void;
}

/** Takes the outcomes of this node's own actors, as the wire would bring them: nothing is shared with the actor, and nothing is larger. */
export class LocalReplies implements ReplyPort {
  readonly #taker: AnswerTaker;
  readonly #envelopeBytesMax: number;

  /** `frameBytesMax`: the largest frame that the connection takes. */
  constructor(taker: AnswerTaker, frameBytesMax: number) {
    this.#taker = taker;
    this.#envelopeBytesMax = frameBytesMax - frameHeaderBytes;
  }

  ok(id: number, value: unknown, now: number): void {
    let copy: unknown;
    try {
      const made = new PlainCopy(value);
      copy = made.value;
      if (made.bytesAtMost + replyPrefixBytes > this.#envelopeBytesMax) mustFitEnvelope(copy, this.#envelopeBytesMax);
    } catch (error) {
      this.#taker.onError(id, asReplyRefusal(error));
      return;
    }
    this.#taker.onOk(id, copy, now);
  }

  error(id: number, error: PerkeyError): void {
    this.#taker.onError(id, error);
  }
}
