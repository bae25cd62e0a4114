import type { DurableTurn, KeptReply } from '../actor/durability.ts';
import type { ReplyOutcome } from '../actor/packed-reply.ts';
import { turnRefusal } from '../actor/refusals.ts';
import { callerOf } from '../actor/reply-window.ts';
import { bareError } from '../base/bare-error.ts';
import { copyPlain } from '../base/plain.ts';
import type { CommittedReply } from '../events/commit.ts';
import type { Bookkeeping, RememberedReply } from '../events/bookkeeping.ts';

/** The reply of a turn as its commit holds it; undefined where nobody can ask for it again. */
export function replyNote({ request, method }: DurableTurn, value: unknown): CommittedReply | undefined {
  const idempotencyKey = request?.idempotencyKey;
  if (request === undefined || idempotencyKey === undefined) return undefined;
  return { idempotencyKey, method: request.method, caller: callerOf(request), outcome: method.answers ? packed(value) : ['ok'] };
}

/** As for replies in memory: what cannot travel is remembered as that. */
function packed(value: unknown): readonly unknown[] {
  try {
    return ['ok', copyPlain(value)];
  } catch {
    return ['not_plain'];
  }
}

function outcomeOf({ outcome }: RememberedReply): ReplyOutcome | undefined {
  if (!Array.isArray(outcome)) return undefined;
  const [kind, value] = outcome as unknown[];
  if (kind === 'ok') return { kind: 'ok', value };
  if (kind !== 'not_plain') return undefined;
  return { kind: 'error', error: bareError('reply.not_plain', 'the reply holds something that cannot travel') };
}

/** The replies for the actor's window. `wall`: now, in ms since 1970. */
export function keptReplies(books: Bookkeeping, wall: number): readonly KeptReply[] {
  const kept: KeptReply[] = [];
  for (const reply of books.replies(wall)) {
    const outcome = outcomeOf(reply);
    const { idempotencyKey, method, caller } = reply;
    if (outcome !== undefined) kept.push({ idempotencyKey, method, caller, ageMs: books.ageMs(reply, wall), outcome });
  }
  return kept;
}

/**
 * What the turn's idempotency key came to before, if it is known by now. Throws `TurnRefusal` where that was an error, or the key was another
 * method's or caller's.
 */
export function repeatOf({ request }: DurableTurn, books: Bookkeeping, wall: number): { readonly value: unknown } | undefined {
  if (request?.idempotencyKey === undefined) return undefined;
  const reply = books.reply(request.idempotencyKey, wall);
  if (reply === undefined) return undefined;
  if (reply.method !== request.method || reply.caller !== callerOf(request)) {
    throw turnRefusal(bareError('idempotency.mismatch', 'the idempotency key was used before for another method or by another caller'));
  }
  const outcome = outcomeOf(reply);
  if (outcome?.kind === 'error') throw turnRefusal(outcome.error);
  return { value: outcome?.value };
}
