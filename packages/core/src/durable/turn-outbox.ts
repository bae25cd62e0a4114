import type { Outbox } from '../actor/aggregate-context.ts';
import { bindNotifyHandle, type NotifyHandle } from '../actor/handle-classes.ts';
import type { AnyContract } from '../actor/method-spec.ts';
import { invalidKey, isKey } from '../actor/names.ts';
import { safeText } from '../base/log-text.ts';
import { copyPlain } from '../base/plain.ts';
import { noHeaders } from '../contract/calls.ts';
import type { Caller, CallOptions, Headers } from '../contract/calls.ts';
import type { OutboxDraft } from './drafts.ts';

const subjectBytesMax = 256;

/** Writes messages down for a turn. */
export class TurnOutbox implements Outbox {
  readonly #keyBytesMax: number;
  readonly #inherited: Headers;
  readonly #write: (draft: OutboxDraft) => void;

  /** `inherited`: headers that every message has, unless it brings one of the same name. A value that a subject could not take is left out. */
  constructor(keyBytesMax: number, inherited: Headers, write: (draft: OutboxDraft) => void) {
    this.#keyBytesMax = keyBytesMax;
    this.#inherited = inherited === noHeaders ? noHeaders : Object.fromEntries(Object.entries(inherited).filter(isPlain));
    this.#write = write;
  }

  publish(subject: string, data: unknown, headers: Headers = noHeaders): void {
    if (!isSubject(subject))
      throw new TypeError(
        `an outbox subject is 1 to ${subjectBytesMax} visible characters in tokens between dots, without wildcards; not one of the broker or of Perkey itself; "${safeText(subject, 80)}" is none`,
      );
    if (!areHeaders(headers)) throw new TypeError('outbox headers are texts by names of A-Z a-z 0-9 _ -, none of which begins with nats-');
    this.#write({ to: 'subject', subject, data: copyPlain(data), headers: copyPlain({ ...this.#inherited, ...headers }) });
  }

  actor<Other extends AnyContract>(contract: Other, key: string): NotifyHandle<Other> {
    if (!isKey(key, this.#keyBytesMax)) throw invalidKey(key, this.#keyBytesMax);
    return bindNotifyHandle(contract, key, new DraftCaller(this.#inherited, this.#write));
  }
}

class DraftCaller implements Caller {
  readonly #inherited: Headers;
  readonly #write: (draft: OutboxDraft) => void;

  constructor(inherited: Headers, write: (draft: OutboxDraft) => void) {
    this.#inherited = inherited;
    this.#write = write;
  }

  request(): Promise<unknown> {
    return Promise.reject(new TypeError('an outbox takes one-way messages only'));
  }

  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void {
    const headers = copyPlain({ ...this.#inherited, ...options?.headers });
    this.#write({ to: 'actor', type, key, method, input: copyPlain(input), headers });
  }
}

/** Callers write them: a line break in one would be a header of its own on a subject, or a message that is never taken. */
function isPlain([, value]: readonly [string, string]): boolean {
  return /^[\x20-\x7e]{1,1024}$/.test(value);
}

function isSubject(subject: unknown): subject is string {
  if (typeof subject !== 'string' || subject.length > subjectBytesMax || /^(\$|_INBOX\.|perkey\.)/.test(subject)) return false;
  return /^[\x21-\x29\x2b-\x2d\x2f-\x3d\x3f-\x7e]+(\.[\x21-\x29\x2b-\x2d\x2f-\x3d\x3f-\x7e]+)*$/.test(subject);
}

function areHeaders(headers: unknown): boolean {
  if (typeof headers !== 'object' || headers === null) return false;
  return Object.entries(headers).every(
    ([name, value]) => /^(?!nats-)[\w-]{1,128}$/i.test(name) && typeof value === 'string' && !/[\r\n]/.test(value),
  );
}
