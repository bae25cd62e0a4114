import { PerkeyError } from '../base/errors.ts';
import { copyPlain } from '../base/plain.ts';
import type { ReplyPort } from '../contract/calls.ts';

export interface AnswerTaker {
  onOk(id: number, value: unknown, now: number): void;
  onError(id: number, error: PerkeyError): void;
}

/** Takes the outcomes of this node's own actors, as the wire would bring them: nothing is shared with the actor. */
export class LocalReplies implements ReplyPort {
  readonly #taker: AnswerTaker;

  constructor(taker: AnswerTaker) {
    this.#taker = taker;
  }

  ok(id: number, value: unknown, now: number): void {
    let copy: unknown;
    try {
      copy = copyPlain(value);
    } catch (error) {
      this.#taker.onError(id, new PerkeyError('reply.not_plain', 'the reply cannot travel', { cause: error }));
      return;
    }
    this.#taker.onOk(id, copy, now);
  }

  error(id: number, error: PerkeyError): void {
    this.#taker.onError(id, error);
  }
}
