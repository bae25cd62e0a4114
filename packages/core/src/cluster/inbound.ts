import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import { Decoder } from '../base/decoder.ts';
import { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { LogLimiter } from '../base/log-text.ts';
import type { Counter, Metrics } from '../base/metrics.ts';
import type { InboundRequest, ReplyPort } from '../contract/calls.ts';
import type { Address } from '../contract/transport.ts';
import { RequestReader } from './envelope.ts';
import { controlLimits, decodeControlFrame, frameKind, type FrameProblem, readFrameKind } from './frame.ts';
import type { FrameBatcher } from './frame-batcher.ts';
import { ReplyReader } from './reply-envelope.ts';
import type { Router } from './router.ts';
import type { ShardTable } from './shard-table.ts';

export interface InboundOptions {
  readonly clock: Clock;
  readonly host: { admit(shard: number, request: InboundRequest): void };
  readonly router: Router;
  readonly replies: FrameBatcher;
  readonly table: ShardTable;
  /** The epoch under which this node serves a shard now; `undefined` where it does not. */
  readonly epochOf: (shard: number) => number | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly answerAsk: (from: Address) => void;
  readonly onTransfer: (value: unknown, from: Address) => void;
  readonly onTransferAck: (value: unknown) => void;
}

/** Reads replies into a caller; shared by nodes and clients. */
export function takeReplies(frame: Uint8Array, decoder: Decoder, router: Router): boolean {
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
      router.onError(reader.id, error as PerkeyError);
      continue;
    }
    router.onOk(reader.id, value);
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

/** Takes the frames that arrive at a node. */
export class Inbound {
  readonly #o: InboundOptions;
  readonly #decoder = new Decoder();
  readonly #problems: FrameProblems;

  constructor(options: InboundOptions) {
    this.#o = options;
    this.#problems = new FrameProblems(options.clock, options.log, options.metrics);
  }

  take(frame: Uint8Array, from: Address, peer: boolean): void {
    const kind = readFrameKind(frame);
    if (typeof kind !== 'number') {
      this.#problems.note(kind.problem, kind);
      return;
    }
    switch (kind) {
      case frameKind.request:
        this.#requests(frame, from);
        return;
      case frameKind.reply:
        if (!takeReplies(frame, this.#decoder, this.#o.router)) this.#problems.note('truncated');
        return;
      case frameKind.topologyAsk:
        this.#o.answerAsk(from);
        return;
      case frameKind.handoff:
      case frameKind.handoffAck:
      case frameKind.topology:
        this.#control(frame, from, peer);
    }
  }

  #control(frame: Uint8Array, from: Address, peer: boolean): void {
    const control = decodeControlFrame(frame, controlLimits);
    if ('problem' in control) this.#problems.note(control.problem);
    else if (control.kind === frameKind.handoff && peer) this.#o.onTransfer(control.value, from);
    else if (control.kind === frameKind.handoffAck) this.#o.onTransferAck(control.value);
    else this.#problems.note('unexpected', { kind: control.kind });
  }

  #requests(frame: Uint8Array, from: Address): void {
    const { clock, host, epochOf } = this.#o;
    const now = clock.now();
    const replies = new FrameReplies(this.#o.replies, from);
    const reader = new RequestReader(frame, this.#decoder);
    while (reader.next()) {
      const { id, shard, remainingMs } = reader;
      const epoch = epochOf(shard);
      if (epoch === undefined || epoch !== reader.epoch) replies.error(id, this.#moved(shard, epoch));
      else if (remainingMs === 0) replies.error(id, bareError('request.expired', 'the deadline passed before the request arrived'));
      else this.#admit(host, reader, shard, now + remainingMs, replies);
    }
    if (reader.truncated) this.#problems.note('truncated');
  }

  #admit(host: InboundOptions['host'], reader: RequestReader, shard: number, deadline: number, replies: FrameReplies): void {
    let request: InboundRequest;
    try {
      request = reader.request(deadline, replies);
    } catch (error) {
      this.#problems.note('envelope');
      if (error instanceof PerkeyError) replies.error(reader.id, error);
      return;
    }
    host.admit(shard, request);
  }

  /** The refusal names the owner that this node knows of, so that the caller need not ask. */
  #moved(shard: number, ownEpoch: number | undefined): PerkeyError {
    const record = this.#o.table.get(shard)?.record;
    const known = record && record.state === 'owned' && (ownEpoch === undefined || record.epoch >= ownEpoch);
    const details = known ? { owner: record.nodeId, incarnation: record.incarnation, epoch: record.epoch } : {};
    return bareError('shard.moved', 'this node does not own the shard of the key under that epoch', { details });
  }
}

/** Sends the outcomes of one frame's requests to where it came from. */
class FrameReplies implements ReplyPort {
  readonly #replies: FrameBatcher;
  readonly #to: Address;

  constructor(replies: FrameBatcher, to: Address) {
    this.#replies = replies;
    this.#to = to;
  }

  ok(id: number, value: unknown): void {
    if (this.#to === '') return;
    try {
      this.#replies.reply(this.#to, id, value);
    } catch (error) {
      if (error instanceof PerkeyError) this.#replies.replyError(this.#to, id, error);
    }
  }

  error(id: number, error: PerkeyError): void {
    if (this.#to !== '') this.#replies.replyError(this.#to, id, error);
  }
}
