import type { LogLimiter, StoreEnvironment } from '@perkey/core';
import type { LiveConnection } from '../connection.ts';
import { faultText, jsErrors, unavailable } from '../store-api.ts';
import type { JsReply, StoreApi } from '../store-api.ts';
import type { Guard } from '../subscription.ts';

/** What the parts of the store have in common: the connection that is live now, and whom to tell when it is not. */
export interface StoreLink {
  readonly environment: StoreEnvironment;
  readonly api: StoreApi;
  readonly inboxPrefix: string;
  readonly guard: Guard;
  readonly limiter: LogLimiter;
  /** Resolves when requests may be made. Rejects with `store.unavailable` after `storeTimeoutMs`, or at once where waiting is pointless. */
  ready(): Promise<LiveConnection>;
  /** Calls back when the connection is lost or the store closed, once; the function that it returns takes that back. */
  onLost(tell: (reason: string) => void): () => void;
  /** The server says that a stream does not exist, or that nobody takes its messages. */
  onMissing(): void;
  /** Copies of the events. */
  readonly replicas: number;
  /** Whether a consumer is there for what is sent right behind the request that makes it, on the connection that is live now. */
  readonly pullsEarly: boolean;
  /** It was not. */
  onEarlyPullLost(): void;
  /** Whether the server that is connected now is of this version or a newer one. */
  serverAtLeast(major: number, minor: number): boolean;
}

/** One record as `STREAM.MSG.GET` tells it. */
export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly body: Buffer;
  /** The last record under its subject when it was appended, 0 for none; undefined where it does not say. */
  readonly expected: number | undefined;
}

export type MessageQuery = { readonly last_by_subj: string } | { readonly seq: number; readonly next_by_subj?: string };

/** A message of a stream, read from its leader; `undefined` where there is none. Rejects with `store.unavailable`. */
export async function getMessage(link: StoreLink, natsStream: string, query: MessageQuery): Promise<StoredMessage | undefined> {
  const reply = await link.api.request(`$JS.API.STREAM.MSG.GET.${natsStream}`, JSON.stringify(query));
  if (reply.error?.err_code === jsErrors.noMessageFound) return undefined;
  answered(link, reply);
  const message = reply['message'] as { subject?: unknown; seq?: unknown; data?: unknown; hdrs?: unknown } | undefined;
  if (message === undefined || typeof message.subject !== 'string' || !Number.isSafeInteger(message.seq))
    throw unavailable('its answer holds no message');
  const body = Buffer.from(typeof message.data === 'string' ? message.data : '', 'base64');
  return { subject: message.subject, sequence: message.seq as number, body, expected: expectedBy(message.hdrs) };
}

function expectedBy(headers: unknown): number | undefined {
  if (typeof headers !== 'string') return undefined;
  const found = /^Nats-Expected-Last-Subject-Sequence: *(\d{1,16})\r$/m.exec(Buffer.from(headers, 'base64').toString('latin1'));
  return found ? Number(found[1]) : undefined;
}

/** Throws `store.unavailable` for an answer that is an error. */
export function answered(link: StoreLink, reply: JsReply): void {
  const { error } = reply;
  if (error === undefined) return;
  if (error.err_code === jsErrors.streamNotFound) link.onMissing();
  throw unavailable(faultText(error));
}

/** The highest sequence of a stream, as its leader tells it. Rejects with `store.unavailable`. */
export async function lastSequence(link: StoreLink, natsStream: string): Promise<number> {
  const reply = await link.api.request(`$JS.API.STREAM.INFO.${natsStream}`, '');
  answered(link, reply);
  const { last_seq: last } = (reply['state'] ?? {}) as { last_seq?: unknown };
  if (!Number.isSafeInteger(last)) throw unavailable('its answer holds no state');
  return last as number;
}

/**
 * What the leader of a stream says of it and of one of its subjects at one moment: in this answer the server looks at the messages of the
 * subject after its highest sequence. Rejects with `store.unavailable`.
 */
export async function subjectState(
  link: StoreLink,
  natsStream: string,
  subject: string,
): Promise<{ readonly last: number; readonly messages: number }> {
  const reply = await link.api.request(`$JS.API.STREAM.INFO.${natsStream}`, JSON.stringify({ subjects_filter: subject }));
  answered(link, reply);
  const { last_seq: last, subjects } = (reply['state'] ?? {}) as {
    last_seq?: unknown;
    subjects?: Readonly<Record<string, unknown>> | null;
  };
  if (!Number.isSafeInteger(last)) throw unavailable('its answer holds no state');
  return { last: last as number, messages: Number(subjects?.[subject] ?? 0) };
}

/** Removes one message; one that is gone already counts as removed. Rejects with `store.unavailable`. */
export async function eraseMessage(link: StoreLink, natsStream: string, sequence: number): Promise<void> {
  const body = JSON.stringify({ seq: sequence, no_erase: true });
  const reply = await link.api.request(`$JS.API.STREAM.MSG.DELETE.${natsStream}`, body);
  const code = reply.error?.err_code;
  if (code !== jsErrors.sequenceNotFound && code !== jsErrors.messageDeleteFailed) answered(link, reply);
}
