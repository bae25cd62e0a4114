import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import { Decoder } from '../base/decoder.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { LogLimiter } from '../base/log-text.ts';
import { shardOf } from '../base/hash.ts';
import type { Counter, Metrics } from '../base/metrics.ts';
import { type CallSource, fromAnyone, fromNode, type InboundRequest, type ReplyPort, type RequestHost } from '../contract/calls.ts';
import type { Address, Via } from '../contract/transport.ts';
import { EarlyRequests } from './early-requests.ts';
import { isLateRequest, LatestRequests } from './latest-requests.ts';
import { requestFlag, RequestReader } from './envelope.ts';
import {
  cancelLimits,
  controlLimits,
  decodeControlFrame,
  type FrameKind,
  frameEnvelopesMax,
  frameKind,
  type FrameProblem,
  readFrameKind,
} from './frame.ts';
import type { FrameBatcher } from './frame-batcher.ts';
import { ReplyReader } from './reply-envelope.ts';
import type { Router } from './router.ts';
import { type Incarnated, sameIncarnation, type ShardRecord } from './records.ts';
import type { ShardTable } from './shard-table.ts';
import { Stalls } from './stalls.ts';

export interface InboundOptions {
  readonly clock: Clock;
  readonly host: RequestHost & { admitTogether(admitAll: () => void): void };
  readonly router: Router;
  readonly replies: FrameBatcher;
  readonly self: Incarnated;
  readonly table: ShardTable;
  /** The epoch under which this node serves a shard now; `undefined` where it does not. */
  readonly epochOf: (shard: number) => number | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly answerAsk: (from: Address) => void;
  /** `false`: it is none. */
  readonly onTransfer: (value: unknown, from: Address) => boolean;
  readonly onTransferAck: (value: unknown) => boolean;
}

/** Reads replies into a caller; shared by nodes and clients. */
export function takeReplies(frame: Uint8Array, decoder: Decoder, router: Router, now: number): boolean {
  const reader = new ReplyReader(frame, decoder);
  while (reader.next()) {
    if (!reader.ok) {
      router.onError(reader.id, reader.error());
      continue;
    }
    let value: unknown;
    try {
      value = reader.value();
    } catch (error) {
      router.onError(reader.id, error instanceof PerkeyError ? error : bareError('reply.malformed', 'the reply could not be read'));
      continue;
    }
    router.onOk(reader.id, value, now);
  }
  return !reader.truncated;
}

/** Counts frames that could not be read, and logs them without their content. */
export class FrameProblems {
  readonly #log: Logger;
  readonly #limiter: LogLimiter;
  readonly #byProblem = new Map<string, Counter>();
  readonly #metrics: Metrics;

  constructor(clock: Clock, log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#limiter = new LogLimiter(clock);
    this.#metrics = metrics;
  }

  note(problem: FrameProblem['problem'] | 'envelope' | 'unexpected', fields: object = {}): void {
    let counter = this.#byProblem.get(problem);
    if (!counter) {
      counter = this.#metrics.counter('perkey_cluster_bad_frames_total', 'Frames or envelopes that could not be read.', { problem });
      this.#byProblem.set(problem, counter);
    }
    counter.inc();
    const leftOut = this.#limiter.allow(problem);
    if (leftOut !== undefined) this.#log.warn({ problem, leftOut, ...fields }, 'a frame could not be read and was dropped');
  }
}

/**
 * By which addresses of a node each kind of frame is taken. What only nodes may say comes by an address that only nodes may send to, or that
 * only they were told: a caller that guesses the number of a request cannot answer it.
 */
const taken: Readonly<Record<FrameKind, readonly Via['at'][]>> = {
  [frameKind.request]: ['node', 'peer'],
  [frameKind.cancel]: ['node', 'peer'],
  [frameKind.reply]: ['reply'],
  [frameKind.handoffAck]: ['reply'],
  [frameKind.handoff]: ['peer'],
  [frameKind.topologyAsk]: ['shared'],
  [frameKind.topology]: [],
};

function sourceOf({ at, principal }: Via): CallSource {
  if (at === 'peer') return fromNode;
  return principal === '' ? fromAnyone : { origin: 'client', principal };
}

/** Takes the frames that arrive at a node. */
export class Inbound {
  readonly #o: InboundOptions;
  readonly #decoder = new Decoder();
  readonly #problems: FrameProblems;
  readonly #early: EarlyRequests;
  readonly #latest = new LatestRequests();
  readonly #stalls: Stalls;
  /** By caller: the numbers of the requests that it gave up. */
  #cancelled = new Map<Address, Set<unknown>>();
  /** By shard: the latest epoch under which it was opened here. */
  readonly #openedAt: number[] = [];

  constructor(options: InboundOptions) {
    this.#o = options;
    this.#problems = new FrameProblems(options.clock, options.log, options.metrics);
    this.#stalls = new Stalls(options.clock);
    this.#early = new EarlyRequests({
      clock: options.clock,
      isEarly: (shard, epoch) => this.#isEarly(shard, epoch),
      refuse: (shard, request) => request.reply.error(request.id, this.#moved(shard, options.epochOf(shard))),
    });
  }

  take(frame: Uint8Array, from: Address, via: Via): void {
    const kind = readFrameKind(frame);
    if (typeof kind !== 'number') {
      this.#problems.note(kind.problem, kind);
      return;
    }
    if (!taken[kind].includes(via.at)) {
      this.#problems.note('unexpected', { kind, at: via.at });
      return;
    }
    switch (kind) {
      case frameKind.request:
        this.#o.host.admitTogether(() => this.#requests(frame, from, sourceOf(via)));
        return;
      case frameKind.reply:
        if (!takeReplies(frame, this.#decoder, this.#o.router, this.#o.clock.now())) this.#problems.note('truncated');
        return;
      case frameKind.topologyAsk:
        this.#o.answerAsk(from);
        return;
      case frameKind.handoff:
      case frameKind.handoffAck:
      case frameKind.topology:
      case frameKind.cancel:
        this.#control(kind, frame, from);
    }
  }

  /** The shard was opened here. Takes what came too early, before anything else comes. */
  opened(shard: number, epoch: number): void {
    const { clock, host } = this.#o;
    this.#openedAt[shard] = epoch;
    if (this.#early.size === 0) return;
    const now = clock.now();
    for (const early of this.#early.take(shard)) {
      const { request } = early;
      if (early.epoch !== epoch) request.reply.error(request.id, this.#moved(shard, epoch));
      else if (request.deadline <= now) request.reply.error(request.id, expired());
      else this.#admit(host, shard, request, false);
    }
  }

  /** Answers what still waits here. */
  stop(): void {
    this.#stalls.stop();
    this.#early.stop();
  }

  #control(kind: FrameKind, frame: Uint8Array, from: Address): void {
    const control = decodeControlFrame(frame, kind === frameKind.cancel ? cancelLimits : controlLimits);
    if ('problem' in control) {
      this.#problems.note(control.problem);
      return;
    }
    const { value } = control;
    if (kind === frameKind.cancel && from === '') this.#problems.note('unexpected', { kind });
    else if (!this.#takeControl(kind, value, from)) this.#problems.note('body', { kind });
  }

  #takeControl(kind: FrameKind, value: unknown, from: Address): boolean {
    if (kind === frameKind.handoff) return this.#o.onTransfer(value, from);
    if (kind === frameKind.handoffAck) return this.#o.onTransferAck(value);
    return kind === frameKind.cancel && this.#cancel(value, from);
  }

  /** Looked for once per turn of the event loop, as a look goes through all that runs and waits here. */
  #cancel(value: unknown, from: Address): boolean {
    if (!Array.isArray(value)) return false;
    if (this.#cancelled.size === 0) this.#o.clock.defer(() => this.#cancelAll());
    const ids = this.#cancelled.get(from);
    if (ids === undefined) this.#cancelled.set(from, new Set<unknown>(value));
    else for (const id of value) ids.add(id);
    return true;
  }

  /** Only the caller itself can name a request: by where it takes its replies, and its own number for it. */
  #cancelAll(): void {
    const cancelledBy = this.#cancelled;
    this.#cancelled = new Map();
    const chosen = ({ id, reply }: InboundRequest): boolean => reply instanceof FrameReplies && cancelledBy.get(reply.to)?.has(id) === true;
    for (const request of this.#early.remove(chosen)) request.reply.error(request.id, cancelled());
    this.#o.host.cancel(chosen);
  }

  #requests(frame: Uint8Array, from: Address, source: CallSource): void {
    const { clock, host, epochOf } = this.#o;
    const now = clock.now();
    const late = this.#stalls.lateMs(now);
    const replies = new FrameReplies(this.#o.replies, from);
    const reader = new RequestReader(frame, this.#decoder);
    const latest = from === '' ? undefined : this.#latest.of(from, now);
    let bytes = frame.length;
    let left = frameEnvelopesMax;
    while (reader.next()) {
      if (left === 0) {
        this.#problems.note('envelope', { frameEnvelopesMax });
        break;
      }
      left -= 1;
      const { id, shard } = reader;
      const remainingMs = reader.remainingMs - late;
      const mark = source === fromNode ? reader.mark : 0;
      const leaving = mark === 0 ? undefined : host.leavingEpoch(shard, mark === requestFlag.heldLong);
      const epoch = epochOf(shard) ?? leaving;
      if (latest !== undefined && isLateRequest(latest, id)) {
        replies.error(id, overtaken());
      } else if (remainingMs <= 0) {
        replies.error(id, expired());
      } else if (epoch === reader.epoch) {
        const request = this.#read(reader, shard, now + remainingMs, replies, source);
        if (request) this.#admit(host, shard, request, leaving !== undefined);
      } else if (this.#takeEarly(reader, shard, now + remainingMs, replies, source, bytes)) bytes = 0;
      else replies.error(id, this.#moved(shard, epoch));
    }
    if (reader.truncated) this.#problems.note('truncated');
  }

  /** `undefined` for a request that cannot be read, which was then refused. */
  #read(reader: RequestReader, shard: number, deadline: number, replies: FrameReplies, source: CallSource): InboundRequest | undefined {
    let request: InboundRequest;
    try {
      request = reader.request(deadline, replies, source);
    } catch (error) {
      this.#problems.note('envelope');
      replies.error(reader.id, error instanceof PerkeyError ? error : bareError('request.malformed', 'the request could not be read'));
      return undefined;
    }
    // I1: a key that is served under the number of another shard could be active on two nodes.
    if (shardOf(request.key, this.#o.table.shards) === shard) return request;
    this.#problems.note('envelope');
    replies.error(request.id, bareError('request.malformed', 'the key of the request does not belong to the shard that it names'));
    return undefined;
  }

  #admit(host: InboundOptions['host'], shard: number, request: InboundRequest, isAwaited: boolean): void {
    try {
      host.admit(shard, request, isAwaited);
    } catch (error) {
      this.#o.log.error({ err: error, shard }, 'a request was not taken');
      request.reply.error(request.id, bareError('turn.abandoned', 'the node failed to run the request'));
    }
  }

  /** `bytes` of its frame were not counted yet. */
  #takeEarly(reader: RequestReader, shard: number, deadline: number, replies: FrameReplies, source: CallSource, bytes: number): boolean {
    const { epoch } = reader;
    if (!this.#isEarly(shard, epoch) || !this.#early.hasRoom(bytes)) return false;
    const request = this.#read(reader, shard, deadline, replies, source);
    if (request) this.#early.hold(shard, epoch, request, bytes);
    return true;
  }

  /** Whether a claim of this node may have been granted with that epoch, and not be known here yet. */
  #isEarly(shard: number, epoch: number): boolean {
    const { table, self } = this.#o;
    if (!Number.isSafeInteger(epoch) || shard >= table.shards || epoch <= (this.#openedAt[shard] ?? 0)) return false;
    const record = table.get(shard)?.record;
    if (!record || record.epoch < epoch) return true;
    return record.epoch === epoch && record.state === 'owned' && sameIncarnation(record, self);
  }

  /** The refusal names the owner that this node knows of, so that the caller need not ask. */
  #moved(shard: number, ownEpoch: number | undefined): PerkeyError {
    const record = this.#o.table.get(shard)?.record;
    const details = record && this.#isOwner(record, ownEpoch) ? ownerOf(record) : {};
    return bareError('shard.moved', 'this node does not own the shard of the key under that epoch', { details });
  }

  /** A record of this very node counts only while it serves the shard: to be sent here again would be of no use. */
  #isOwner(record: ShardRecord, ownEpoch: number | undefined): boolean {
    if (record.state !== 'owned') return false;
    return sameIncarnation(record, this.#o.self) ? record.epoch === ownEpoch : ownEpoch === undefined || record.epoch >= ownEpoch;
  }
}

function ownerOf({ nodeId, incarnation, epoch }: ShardRecord): { owner: string; incarnation: string; epoch: number } {
  return { owner: nodeId, incarnation, epoch };
}

function cancelled(): PerkeyError {
  return bareError('request.cancelled', 'the caller cancelled the request before it was started');
}

function overtaken(): PerkeyError {
  return bareError('request.expired', 'the request came after later ones of its caller, over a connection that the caller has lost');
}

function expired(): PerkeyError {
  return bareError('request.expired', 'the deadline passed before the request arrived');
}

/** Sends the outcomes of one frame's requests to where it came from. */
class FrameReplies implements ReplyPort {
  readonly to: Address;
  readonly #replies: FrameBatcher;

  constructor(replies: FrameBatcher, to: Address) {
    this.#replies = replies;
    this.to = to;
  }

  ok(id: number, value: unknown): void {
    if (this.to === '') return;
    try {
      this.#replies.reply(this.to, id, value);
    } catch (error) {
      if (error instanceof PerkeyError) this.#replies.replyError(this.to, id, error);
    }
  }

  error(id: number, error: PerkeyError): void {
    if (this.to !== '') this.#replies.replyError(this.to, id, error);
  }
}
