import { bareError } from '../base/bare-error.ts';
import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import type { Pending } from './pending.ts';

export function unknownType(type: string): PerkeyError {
  const name = safeText(type, 80);
  return new PerkeyError('actor.unknown_type', `no node of the cluster hosts the actor type "${name}"`, { details: { type: name } });
}

export function linkDown(): PerkeyError {
  return new PerkeyError('link.down', 'the connection was down, so that the request was not sent');
}

/** The deadline passed, which a timer noticed: a stack would tell nothing of who called. `isUp`: whether the caller's own connection is up. */
export function tooLate({ type, method, shard, refusal, mayHaveRun }: Pending, isUp: boolean): PerkeyError {
  if (mayHaveRun) return bareError('deadline.exceeded', `no answer to ${type}.${method} before its deadline; it may have been executed`);
  const details = { ...(shard >= 0 && { shard }), ...(refusal && { lastRefusal: refusal.code }) };
  const why = isUp ? whyNoOwner(shard, refusal) : "; the caller's own connection is down";
  return bareError('shard.no_owner', `no node took the shard of ${type}.${method} before its deadline${why}`, { details });
}

function whyNoOwner(shard: number, refusal: PerkeyError | undefined): string {
  if (refusal) return `; last refusal: ${refusal.message}`;
  return shard < 0 ? '; no node of the cluster has answered: check that nodes run, and that its name and the server are theirs' : '';
}

/** To send it again would turn the order of the calls round. */
export function overtaken({ refusal = linkDown() }: Pending): PerkeyError {
  const { code, message } = refusal;
  return new PerkeyError(code, `${message}; it is not sent again, as a later call to the same key got through`);
}

export function closedEarly({ doubt }: Pending): PerkeyError {
  return doubt
    ? new PerkeyError('link.lost', 'closed while the request was under way; it may have been executed')
    : new PerkeyError('client.closed', 'closed before the request was sent');
}

export function linkLost(): PerkeyError {
  return new PerkeyError('link.lost', 'the connection was lost after the request was sent; it may have been executed');
}

/** The owner is gone, or has another connection, and did not answer. */
export function fallenSilent({ nodeId, gone }: { readonly nodeId: string; readonly gone: boolean }): PerkeyError {
  if (gone) return new PerkeyError('node.lost', `node ${nodeId} is gone; the request may have been executed`);
  return new PerkeyError('link.lost', `the connection of node ${nodeId} was lost after the request was sent; it may have been executed`);
}
