import type { Activation } from '../actor/activation.ts';
import type { ReminderEntry } from '../actor/aggregate-context.ts';
import type { DurableTurn } from '../actor/durability.ts';
import { turnRefusal } from '../actor/refusals.ts';
import { callerOf } from '../actor/reply-window.ts';
import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import { noHeaders } from '../contract/calls.ts';
import type { CommitIds } from '../events/commit-ids.ts';
import type { CommitNotes, CommittedReply } from '../events/commit.ts';
import type { EventMetadata } from '../events/stored-event.ts';
import type { OutboxDraft } from './drafts.ts';
import { DurableTurnContext, type TurnDrafts } from './durable-turn-context.ts';
import { HeldActor } from './held-actor.ts';
import { replyNote } from './kept-replies.ts';
import type { OwnNotes } from './own-notes.ts';
import { changeOf, type StoredReminder } from './reminders/stored-reminder.ts';

export interface NoteLimits {
  readonly outboxPendingMax: number;
  readonly remindersMax: number;
}

export interface NoteParts {
  readonly limits: NoteLimits;
  readonly clock: Clock;
  readonly commitId: string;
}

/**
 * What the turn wants stored beside its events: reply, messages, reminders, `own`. Undefined where it wants nothing. Throws `TurnRefusal` for more
 * than may be kept of one actor.
 */
export function notesOf(
  turn: DurableTurn,
  held: HeldActor,
  value: unknown,
  own: OwnNotes | undefined,
  parts: NoteParts,
): CommitNotes | undefined {
  const drafts = DurableTurnContext.draftsOf(turn.ctx as DurableTurnContext);
  const reply = replyNote(turn, value);
  if (drafts !== undefined) return draftedNotes(turn, held, drafts, reply, own, parts);
  if (reply === undefined && own === undefined) return undefined;
  return { reply, delivered: own?.delivered, reminders: noneIfEmpty(own?.reminders) };
}

function draftedNotes(
  turn: DurableTurn,
  held: HeldActor,
  drafts: TurnDrafts,
  reply: CommittedReply | undefined,
  own: OwnNotes | undefined,
  { limits, clock, commitId }: NoteParts,
): CommitNotes {
  const at = clock.wall();
  const { books } = held;
  const delivered = own?.delivered;
  const { outbox } = drafts;
  const { outboxPendingMax, remindersMax } = limits;
  if (outbox !== undefined && books.pendingAfter(held.deliveredTo) + outbox.length > outboxPendingMax) {
    throw full('outbox.full', `the outbox of this ${turn.activation.type.name} holds outboxPendingMax = ${outboxPendingMax} messages`);
  }
  const names = new Set(books.reminders().keys());
  const reminders = drafts.reminders?.map((draft) => {
    names.delete(draft.name);
    if (draft.change === 'cancel') return { name: draft.name };
    names.add(draft.name);
    return changeOf(draft, at);
  });
  if (reminders !== undefined && names.size > remindersMax) {
    throw full('reminders.full', `an actor ${turn.activation.type.name} may have remindersMax = ${remindersMax} reminders`);
  }
  // What the handler says of a reminder counts more than that its time has come.
  const all = [...(own?.reminders ?? []), ...(reminders ?? [])];
  return { reply, outbox: outbox?.map((draft) => causedBy(commitId, draft)), delivered, reminders: noneIfEmpty(all) };
}

/** What the message leads to can say which commit it came from. */
function causedBy(commitId: string, draft: OutboxDraft): OutboxDraft {
  return { ...draft, headers: { 'causation-id': commitId, ...draft.headers } };
}

function noneIfEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

function full(code: 'outbox.full' | 'reminders.full', text: string): Error {
  return turnRefusal(bareError(code, text));
}

/** The reminders of an actor, as its last stored turn left them. */
export function* remindersOf(activation: Activation): Generator<ReminderEntry> {
  for (const [name, reminder] of HeldActor.of(activation).books.reminders()) {
    const { schedule, method, input, missed, due } = reminder as StoredReminder;
    yield { name, schedule, method, input, missed, dueAt: due };
  }
}

/** The same for every repeat of a request with an idempotency key, on any node; else never given before. */
export function commitIdOf(ids: CommitIds, { request, activation }: DurableTurn): string {
  if (request?.idempotencyKey === undefined) return ids.newCommitId();
  const stream = { type: activation.type.name, key: activation.key };
  return ids.commitId(stream, request.method, callerOf(request), request.idempotencyKey);
}

/** From the headers of the request; whose name it is told only where the transport proves it. */
export function metadataOf({ request }: DurableTurn): EventMetadata | undefined {
  if (request === undefined) return undefined;
  const { headers, source } = request;
  const principal = source === undefined || source.principal === '' ? undefined : source.principal;
  if (headers === noHeaders && principal === undefined) return undefined;
  return { correlation: headers['correlation-id'], causation: headers['causation-id'], trace: headers['traceparent'], principal };
}
