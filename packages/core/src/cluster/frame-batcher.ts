import { bareError } from '../base/bare-error.ts';
import type { Clock } from '../base/clock.ts';
import { defaultCodecLimits } from '../base/codec-limits.ts';
import type { CodecLimits } from '../base/codec-limits.ts';
import { Encoder } from '../base/encoder.ts';
import type { PerkeyError } from '../base/errors.ts';
import { Slab } from '../base/slab.ts';
import type { Address } from '../contract/transport.ts';
import { requestPrefixBytes, writeRequest } from './envelope.ts';
import { frameHeaderBytes, tooLarge, writeFrameHeader } from './frame.ts';
import type { FrameKind } from './frame.ts';
import { asReplyRefusal, replyPrefixBytes, writeError, writeOk } from './reply-envelope.ts';

const frameBytesLeast = 512;
const idleOutboxesMax = 16;
const safeMessageCharsMax = 512;

export interface FrameBatcherOptions {
  readonly kind: FrameKind;
  readonly clock: Clock;
  /** The largest frame, its header included. */
  readonly frameBytesMax: number;
  /** The most envelopes in one frame. Default 512. */
  readonly frameCountMax?: number;
  readonly limits?: CodecLimits;
  /** Takes a frame with `count` envelopes; the bytes are its own. Must not throw. */
  readonly send: (to: Address, frame: Uint8Array, count: number) => void;
  /** Asked right before frames leave. False: everything stays, and nothing is sent until the owner calls `flush`. */
  readonly mayFlush?: () => boolean;
}

interface ClosedFrame {
  readonly frame: Uint8Array;
  readonly count: number;
}

/** What waits for one address. */
class Outbox {
  readonly encoder: Encoder;
  to: Address = '';
  /** Envelopes in the open frame; 0: no frame is open. */
  count = 0;
  /** Full frames that were not allowed to leave, the oldest first. */
  readonly held: ClosedFrame[] = [];

  constructor(encoder: Encoder) {
    this.encoder = encoder;
  }
}

/**
 * Gathers envelopes by destination, and sends them as frames at the end of the turn of the event loop, or at once where a frame is full.
 * Per destination in the order added. A destination is forgotten with its last frame.
 */
export class FrameBatcher {
  readonly #kind: FrameKind;
  readonly #clock: Clock;
  readonly #frameBytesMax: number;
  readonly #frameCountMax: number;
  readonly #limits: CodecLimits;
  readonly #send: (to: Address, frame: Uint8Array, count: number) => void;
  readonly #mayFlush: (() => boolean) | undefined;
  readonly #slab = new Slab();
  readonly #idle: Outbox[] = [];
  readonly #flushDeferred = (): void => {
    this.#scheduled = false;
    this.flush();
  };
  /** Every destination for which something waits, in the order of their first envelope. */
  #outboxes = new Map<Address, Outbox>();
  #last: Outbox | undefined;
  #scheduled = false;
  #holding = false;
  /** True while a value is being encoded: its accessors may run code that comes back here. */
  #writing = false;
  readonly #late: (() => void)[] = [];
  #frameBytesUsual = frameBytesLeast;

  constructor(options: FrameBatcherOptions) {
    this.#kind = options.kind;
    this.#clock = options.clock;
    this.#frameBytesMax = options.frameBytesMax;
    this.#frameCountMax = options.frameCountMax ?? 512;
    this.#limits = options.limits ?? defaultCodecLimits;
    this.#send = options.send;
    this.#mayFlush = options.mayFlush;
  }

  /** How many destinations something waits for. */
  get destinations(): number {
    return this.#outboxes.size;
  }

  /** Throws `payload.too_large`. `remainingMs` below one counts as none. */
  request(to: Address, id: number, shard: number, flags: number, epoch: number, remainingMs: number, tail: Uint8Array): void {
    const bytes = requestPrefixBytes + tail.length;
    if (bytes + frameHeaderBytes > this.#frameBytesMax) throw tooLarge(bytes, this.#frameBytesMax - frameHeaderBytes);
    if (this.#writing) {
      this.#late.push(() => this.request(to, id, shard, flags, epoch, remainingMs, tail));
      return;
    }
    const outbox = this.#outbox(to, bytes);
    writeRequest(outbox.encoder, id, shard, flags, epoch, remainingMs, tail);
    this.#added(outbox);
  }

  /** Throws `reply.not_plain` with the path of the offender, or `reply.too_large`; nothing was added then. */
  reply(to: Address, id: number, value: unknown): void {
    this.#append(to, id, value, undefined);
  }

  /** Details that cannot travel, or are too large, are left behind. */
  replyError(to: Address, id: number, error: PerkeyError): void {
    try {
      this.#append(to, id, undefined, error);
    } catch {
      const { code, executed, retryAfterMs } = error;
      const message = error.message.slice(0, safeMessageCharsMax);
      this.#append(to, id, undefined, bareError(code, message, retryAfterMs === undefined ? { executed } : { executed, retryAfterMs }));
    }
  }

  /** Sends what waits, unless `mayFlush` forbids it. */
  flush(): void {
    if (this.#writing) {
      this.#late.push(() => this.flush());
      return;
    }
    if (this.#outboxes.size === 0 || !this.#mayLeave()) return;
    const outboxes = this.#outboxes;
    this.#outboxes = new Map();
    this.#last = undefined;
    for (const outbox of outboxes.values()) {
      this.#ship(outbox);
      this.#retire(outbox);
    }
  }

  /** Forgets what waits for `to`. */
  drop(to: Address): void {
    if (this.#writing) {
      this.#late.push(() => this.drop(to));
      return;
    }
    const outbox = this.#outboxes.get(to);
    if (outbox === undefined) return;
    this.#outboxes.delete(to);
    this.#last = undefined;
    outbox.held.length = 0;
    outbox.count = 0;
    this.#retire(outbox);
  }

  #append(to: Address, id: number, value: unknown, error: PerkeyError | undefined): void {
    if (this.#writing) return this.#appendLater(to, id, value, error);
    const outbox = this.#outbox(to, replyPrefixBytes + 1);
    const { encoder } = outbox;
    const before = encoder.length;
    const bytesMax = this.#frameBytesMax - frameHeaderBytes;
    this.#writing = true;
    try {
      if (error === undefined) writeOk(encoder, id, value);
      else writeError(encoder, id, error);
      if (encoder.length - before > bytesMax) throw tooLarge(encoder.length - before, bytesMax);
    } catch (thrown) {
      encoder.rewind(before);
      this.#writing = false;
      this.#schedule();
      this.#runLate();
      throw asReplyRefusal(thrown);
    }
    this.#writing = false;
    if (encoder.length > this.#frameBytesMax) this.#moveToNextFrame(outbox, before);
    this.#added(outbox);
    if (this.#late.length > 0) this.#runLate();
  }

  /** The envelope is encoded now, apart, and added as soon as the one that is being written stands. */
  #appendLater(to: Address, id: number, value: unknown, error: PerkeyError | undefined): void {
    const bytesMax = this.#frameBytesMax - frameHeaderBytes;
    const encoder = new Encoder(new Slab(0), this.#limits);
    try {
      encoder.open(frameBytesLeast);
      encoder.message(bytesMax);
      if (error === undefined) writeOk(encoder, id, value);
      else writeError(encoder, id, error);
      if (encoder.length > bytesMax) throw tooLarge(encoder.length, bytesMax);
    } catch (thrown) {
      throw asReplyRefusal(thrown);
    }
    const envelope = encoder.take();
    this.#late.push(() => {
      const outbox = this.#outbox(to, envelope.length);
      outbox.encoder.raw(envelope);
      this.#added(outbox);
    });
  }

  #runLate(): void {
    for (const run of this.#late.splice(0)) run();
  }

  /** The destination's outbox with an open frame that takes `bytes` more. */
  #outbox(to: Address, bytes: number): Outbox {
    let outbox = this.#last;
    if (outbox === undefined || outbox.to !== to) {
      outbox = this.#outboxes.get(to) ?? this.#newOutbox(to);
      this.#last = outbox;
    }
    if (outbox.count > 0 && outbox.encoder.length + bytes > this.#frameBytesMax) this.#shipOrHold(outbox);
    if (outbox.count === 0) {
      outbox.encoder.open(this.#frameBytesUsual);
      writeFrameHeader(outbox.encoder, this.#kind);
    }
    outbox.encoder.message(this.#frameBytesMax - frameHeaderBytes);
    return outbox;
  }

  #newOutbox(to: Address): Outbox {
    const outbox = this.#idle.pop() ?? new Outbox(new Encoder(this.#slab, this.#limits));
    outbox.to = to;
    this.#outboxes.set(to, outbox);
    return outbox;
  }

  #retire(outbox: Outbox): void {
    outbox.to = '';
    if (this.#idle.length < idleOutboxesMax) this.#idle.push(outbox);
  }

  #added(outbox: Outbox): void {
    outbox.count += 1;
    if (!this.#scheduled) this.#schedule();
    if (outbox.count >= this.#frameCountMax) this.#shipOrHold(outbox);
  }

  #schedule(): void {
    if (this.#scheduled || this.#holding) return;
    this.#scheduled = true;
    this.#clock.defer(this.#flushDeferred);
  }

  /** The last envelope made the frame too large: what is before it goes first. */
  #moveToNextFrame(outbox: Outbox, before: number): void {
    const envelope = outbox.encoder.copyFrom(before);
    outbox.encoder.rewind(before);
    this.#outbox(outbox.to, envelope.length).encoder.raw(envelope);
  }

  #mayLeave(): boolean {
    this.#holding = this.#mayFlush !== undefined && !this.#mayFlush();
    return !this.#holding;
  }

  #shipOrHold(outbox: Outbox): void {
    if (this.#mayLeave()) this.#ship(outbox);
    else outbox.held.push(this.#close(outbox));
  }

  #ship(outbox: Outbox): void {
    if (outbox.held.length > 0) {
      for (const { frame, count } of outbox.held.splice(0)) this.#send(outbox.to, frame, count);
    }
    if (outbox.count === 0) return;
    const { frame, count } = this.#close(outbox);
    this.#send(outbox.to, frame, count);
  }

  #close(outbox: Outbox): ClosedFrame {
    const { count } = outbox;
    const frame = outbox.encoder.take();
    outbox.count = 0;
    const usual = this.#frameBytesUsual;
    this.#frameBytesUsual = Math.max(frameBytesLeast, frame.length > usual ? frame.length : (usual * 7 + frame.length) >> 3);
    return { frame, count };
  }
}
