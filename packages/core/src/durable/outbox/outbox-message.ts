import { digestName } from '../../base/digest.ts';
import { PerkeyError } from '../../base/errors.ts';
import type { StreamName } from '../../contract/commit-log.ts';
import type { PendingMessage } from '../../events/bookkeeping.ts';
import type { OutboxDraft } from '../drafts.ts';

/** The name under which a message is delivered, the same at each try on any node: receivers tell repeats by it. */
export function messageId(cluster: string, { type, key }: StreamName, number: number): string {
  return `${digestName(JSON.stringify([cluster, type, key]))}-${number}`;
}

/** Throws `stream.corrupt`. */
export function readMessage({ message }: PendingMessage): OutboxDraft {
  const { to } = (message ?? {}) as { readonly to?: unknown };
  if (to === 'subject' || to === 'actor') return message as OutboxDraft;
  throw new PerkeyError('stream.corrupt', 'an outbox message has another form');
}

/** What a subject gets: bytes as they are, everything else as JSON, big integers in it as decimal strings. */
export function publishedBytes(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data;
  const text = JSON.stringify(data ?? null, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
  return new TextEncoder().encode(text);
}
