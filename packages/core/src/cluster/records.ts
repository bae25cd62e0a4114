import type { Address } from '../contract/transport.ts';

export const protocolVersion = 1;

export type MemberState = 'joining' | 'active' | 'draining' | 'gone';

/** What a node says of itself in the members store, renewed with every heartbeat. */
export interface MemberRecord {
  readonly nodeId: string;
  readonly incarnation: string;
  /** Rises with every renewal of this incarnation; lets a node recognise its own write. */
  readonly n: number;
  readonly inbox: Address;
  readonly weight: number;
  /** Contract version by actor type. */
  readonly types: Readonly<Record<string, string>>;
  readonly state: MemberState;
  readonly protocol: number;
  /** For so long after it was renewed its holder may act: what observers wait for. */
  readonly leaseMs?: number;
  /** The private store that it has. */
  readonly store?: string | undefined;
  /** How often its data connection was made anew: what was on the old ones is lost. Only rises. */
  readonly links?: number;
  /** Every other incarnation of this node up to this generation has ended, later ones too: see `Evictor`. */
  readonly outlived?: number;
}

export interface Incarnated {
  readonly nodeId: string;
  readonly incarnation: string;
}

export type ShardState = 'owned' | 'releasing' | 'free';

/** Who may act for a shard. Every change is a compare-and-set on the record's revision. */
export interface ShardRecord extends Incarnated {
  readonly shard: number;
  readonly epoch: number;
  readonly state: ShardState;
  /** With `releasing`: the only one who may claim while its incarnation lives. */
  readonly successor?: Incarnated;
  /** With `releasing`: names the transfer of state that the successor must hold before it claims; with `owned`: the one it claimed with. */
  readonly transfer?: string | undefined;
  /** The private store that holds the histories of this shard. Set once, before the first of them is written; the same in every later record. */
  readonly home?: string | undefined;
}

/** What is fixed for the life of a cluster. */
export interface ClusterRecord {
  readonly shards: number;
  readonly protocol: number;
  /** Where durable actors are kept: `private`, or the name of the store that all nodes share. Absent until a node with a store has come. */
  readonly store?: string | undefined;
}

export const clusterKey = 'cluster';
export const memberKey = (nodeId: string): string => `member.${nodeId}`;
export const candidateKey = (nodeId: string, incarnation: string): string => `candidate.${nodeId}.${incarnation}`;
export const shardKey = (shard: number): string => `shard.${shard}`;

export const sameIncarnation = (a: Incarnated, b: Incarnated): boolean => a.incarnation === b.incarnation && a.nodeId === b.nodeId;

/**
 * An incarnation begins with its generation, which rises for each start of a node id: above the last record's, and at least the wall
 * clock in ms, so that it rises even where the last record was forgotten. Order of generations is the only use made of the wall clock here.
 */
export function incarnationId(generation: number, suffix: string): string {
  return `${generation.toString(36)}-${suffix}`;
}

/** How long the holder of a record may act after a renewal: what it says, and at least what its observer has for itself. */
export function leaseMsOf(record: MemberRecord | undefined, ownLeaseMs: number): number {
  return Math.max(ownLeaseMs, record?.leaseMs ?? 0);
}

/** 0 for a node that never said so. */
export function linksOf(record: MemberRecord): number {
  const { links = 0 } = record;
  return Number.isSafeInteger(links) && links > 0 ? links : 0;
}

/** -1 for a node that never said so. */
export function outlivedOf(record: MemberRecord): number {
  const { outlived = -1 } = record;
  return Number.isSafeInteger(outlived) ? outlived : -1;
}

export function generationOf(incarnation: string): number {
  const generation = Number.parseInt(incarnation.split('-', 1)[0] ?? '', 36);
  return Number.isSafeInteger(generation) ? generation : 0;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

const memberStates: ReadonlySet<unknown> = new Set<MemberState>(['joining', 'active', 'draining', 'gone']);
const shardStates: ReadonlySet<unknown> = new Set<ShardState>(['owned', 'releasing', 'free']);

export function isIncarnated(value: unknown): value is Incarnated {
  if (typeof value !== 'object' || value === null) return false;
  const { nodeId, incarnation } = value as Record<string, unknown>;
  return typeof nodeId === 'string' && typeof incarnation === 'string';
}

/** `undefined` for text that is no member record; such a record is passed over. */
export function parseMember(text: string): MemberRecord | undefined {
  const value = parseObject(text);
  if (!value || !isIncarnated(value) || !memberStates.has(value['state'])) return undefined;
  const { n, inbox, weight, types, protocol, leaseMs = 0, store = '' } = value as Record<string, unknown>;
  const hasNumbers = typeof n === 'number' && typeof protocol === 'number' && Number.isFinite(leaseMs);
  const whole = hasNumbers && typeof inbox === 'string' && typeof weight === 'number' && weight > 0 && Number.isFinite(weight);
  if (!whole || typeof types !== 'object' || types === null || typeof store !== 'string') return undefined;
  return value as unknown as MemberRecord;
}

const mark = ',"n":';
const digitsMax = 15;
const [zero, nine] = [0x30, 0x39];

/** Where the `n` begins that the text of a record ends with; -1 where it ends with something else. */
function renewalAt(text: string): number {
  const end = text.length - 1;
  let at = end;
  for (let code = text.charCodeAt(at - 1); code >= zero && code <= nine; code = text.charCodeAt(at - 1)) at -= 1;
  const digits = end - at;
  const isNumber = digits === 1 || (digits > 1 && digits <= digitsMax && text.charCodeAt(at) !== zero);
  return isNumber && text.endsWith('}') && text.startsWith(mark, at - mark.length) ? at : -1;
}

/**
 * The member record of `text`, where `before` is the text of one and differs from it in nothing but the `n` at its end; `undefined` where it
 * differs in more. A mere renewal is the commonest news there is, and need not be read in full. Within JSON only a name begins `,"n":`.
 */
export function renewedMember(before: { readonly text: string; readonly record: MemberRecord }, text: string): MemberRecord | undefined {
  const at = renewalAt(text);
  // Equal pieces are found ten times as fast by their comparison as by `startsWith`.
  if (at < 0 || renewalAt(before.text) !== at || text.slice(0, at) !== before.text.slice(0, at)) return undefined;
  return { ...before.record, n: Number.parseInt(text.slice(at, -1), 10) };
}

/** `undefined` for text that is no shard record; such a record is passed over. */
export function parseShard(text: string): ShardRecord | undefined {
  const value = parseObject(text);
  if (!value || !isIncarnated(value) || !shardStates.has(value['state'])) return undefined;
  const { shard, epoch, successor, home = '' } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(shard) || !Number.isSafeInteger(epoch) || typeof home !== 'string') return undefined;
  if (value['state'] === 'releasing' && !isIncarnated(successor)) return undefined;
  return value as unknown as ShardRecord;
}

export function parseCluster(text: string): ClusterRecord | undefined {
  const value = parseObject(text);
  if (!value || !Number.isSafeInteger(value['shards']) || !Number.isSafeInteger(value['protocol'])) return undefined;
  if (typeof (value['store'] ?? '') !== 'string') return undefined;
  return value as unknown as ClusterRecord;
}
