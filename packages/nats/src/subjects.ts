import { PerkeyError, safeText } from '@perkey/core';
import type { Address } from '@perkey/core';

/**
 * Every NATS name that Perkey uses. `<x>` is one token of `[A-Za-z0-9_-]{1,64}`; an actor key is never part of any of them.
 *
 * | name | who publishes | who subscribes | what |
 * |---|---|---|---|
 * | `perkey.<cluster>.node.<nodeId>.<incarnation>` | clients | that node | frames to a node |
 * | the same with `.<principal>` | clients of the user that alone may publish there | that node | frames whose sender is proven |
 * | `perkey.<cluster>.peer.<nodeId>.<incarnation>` | nodes only | that node | frames between nodes (requests, shards on the move) |
 * | `perkey.<cluster>.reply.<id>`, `perkey.<cluster>.reply.<principal>.<id>` | nodes | the link with that random id | frames of replies |
 * | the same with `.<frame token>` | nobody but the server | the same link | `503 no responders`: the frame with this token reached nobody |
 * | `perkey.<cluster>.any` | clients | every node, queue group `perkey` | frames that any node may take |
 * | `perkey.<cluster>.clients` | nodes | every client | frames to all clients (changes of topology) |
 * | `perkey.<cluster>.call.<type>.<method>`, the same with `.<principal>` | any NATS client | nodes that host the type, queue group `perkey` | requests in JSON |
 * | `$SRV.PING`, `$SRV.INFO`, `$SRV.STATS`, each also with `.perkey-<cluster>` and `.perkey-<cluster>.<nodeId>` | `nats micro` | every node | NATS micro service discovery |
 * | bucket `perkey_<cluster>_members` (stream `KV_...`, subjects `$KV.perkey_<cluster>_members.>`) | nodes, on the control connection | nodes | leases of nodes |
 * | bucket `perkey_<cluster>_shards` | the same | the same | shard records |
 *
 * What each role needs of a server, and no more, is in `docs/security.md`. A node's data connection must not be allowed to publish to `$KV.>`
 * or `$JS.>`: a caller chooses where an answer goes.
 */
export interface Subjects {
  readonly cluster: string;
  /** Everything that carries frames starts with this. */
  readonly prefix: string;
  readonly replyPrefix: string;
  readonly peerPrefix: string;
  readonly any: Address;
  readonly clients: Address;
  readonly service: string;
  readonly membersBucket: string;
  readonly shardsBucket: string;
  node(nodeId: string, incarnation: string): Address;
  peer(nodeId: string, incarnation: string): Address;
  /** With `principal` '' the plain form. */
  reply(principal: string, id: string): Address;
  call(type: string, method: string): string;
  /** All methods of a type: by anybody, and by those who are proven. */
  calls(type: string): readonly string[];
}

/** One queue group for all that any node may take. */
export const queueGroup = 'perkey';

const tokenPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether the text may be one token of a subject. */
export function isToken(text: string): boolean {
  return tokenPattern.test(text);
}

function token(what: string, text: string): string {
  if (isToken(text)) return text;
  throw new PerkeyError('options.invalid', `${what} "${safeText(text)}" is not 1 to 64 of A-Z a-z 0-9 _ -`, { details: { option: what } });
}

/** Throws `options.invalid` for a name that is not a token. */
export function subjectsOf(cluster: string): Subjects {
  const prefix = `perkey.${token('cluster', cluster)}.`;
  return Object.freeze({
    cluster,
    prefix,
    replyPrefix: `${prefix}reply.`,
    peerPrefix: `${prefix}peer.`,
    any: `${prefix}any`,
    clients: `${prefix}clients`,
    service: `perkey-${cluster}`,
    membersBucket: `perkey_${cluster}_members`,
    shardsBucket: `perkey_${cluster}_shards`,
    node: (nodeId: string, incarnation: string) => `${prefix}node.${token('nodeId', nodeId)}.${token('incarnation', incarnation)}`,
    peer: (nodeId: string, incarnation: string) => `${prefix}peer.${token('nodeId', nodeId)}.${token('incarnation', incarnation)}`,
    reply: (principal: string, id: string) =>
      `${prefix}reply.${principal === '' ? '' : `${token('principal', principal)}.`}${token('reply id', id)}`,
    calls: (type: string) => ['*', '*.*'].map((rest) => `${prefix}call.${token('actor type', type)}.${rest}`),
    call: (type: string, method: string) => `${prefix}call.${token('actor type', type)}.${token('method', method)}`,
  });
}

/** True for an address that frames may be sent to; addresses come from other members and are not trusted. */
export function isFrameAddress(subjects: Subjects, address: Address): boolean {
  if (!address.startsWith(subjects.prefix)) return false;
  const tokens = address.slice(subjects.prefix.length).split('.');
  const [kind, ...rest] = tokens;
  if (kind === 'peer') return rest.length === 2 && rest.every(isToken);
  if (kind === 'node') return (rest.length === 2 || rest.length === 3) && rest.every(isToken);
  if (kind === 'reply') return (rest.length === 1 || rest.length === 2) && rest.every(isToken);
  return tokens.length === 1 && (kind === 'any' || kind === 'clients');
}

const replyTail = /^(?:[A-Za-z0-9_-]{1,64}\.)?[A-Za-z0-9_-]{1,64}\.\d{1,16}$/;

/** The address in the reply subject of a frame, without its token; '' where the subject is not that of a link of this cluster. */
export function senderOf(subjects: Subjects, replySubject: string): Address {
  if (!replySubject.startsWith(subjects.replyPrefix)) return '';
  if (!replyTail.test(replySubject.slice(subjects.replyPrefix.length))) return '';
  return replySubject.slice(0, replySubject.lastIndexOf('.'));
}

export interface CallTarget {
  readonly type: string;
  readonly method: string;
  readonly principal: string;
}

/** The type, the method and the proven caller ('' where there is none) in the subject of a call in JSON. */
export function callTarget(subjects: Subjects, subject: string): CallTarget | undefined {
  const [type = '', method = '', principal, ...more] = subject.slice(subjects.prefix.length + 'call.'.length).split('.');
  if (more.length > 0 || !isToken(type) || !isToken(method)) return undefined;
  if (principal === undefined) return { type, method, principal: '' };
  return isToken(principal) ? { type, method, principal } : undefined;
}

/** False for subjects that carry frames or that the server itself acts on: a caller must not make a node publish there. */
export function mayTakeAnswers(replySubject: string): boolean {
  return replySubject !== '' && !replySubject.startsWith('$') && !replySubject.startsWith('perkey.') && !/[\s*>]/.test(replySubject);
}
