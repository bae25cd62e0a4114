import { PlainCopy } from '../base/plain.ts';
import { Cancels } from './cancels.ts';
import { tailBytesBesideInput, requestPrefixBytes, RequestTailEncoder } from './envelope.ts';
import { frameHeaderBytes, frameKind } from './frame.ts';
import { FrameBatcher } from './frame-batcher.ts';
import type { Pending } from './pending.ts';
import type { RouterOptions } from './router-options.ts';
import type { Target } from './routes.ts';
import { type Lane, SentFrames } from './sent-frames.ts';

export interface SenderEvents {
  /** The connection did not take the frame: nothing of it was written. */
  readonly onRefused: (token: number) => void;
  /** The connection threw: nobody knows what was written. */
  readonly onThrown: (token: number, thrown: unknown) => void;
}

/** Puts the calls of one caller into frames, and knows of each whether it was already handed to the connection. */
export class RequestSender {
  readonly frames: SentFrames = new SentFrames();
  readonly #o: RouterOptions;
  readonly #events: SenderEvents;
  readonly #tails: RequestTailEncoder;
  readonly #tailBytesMax: number;
  readonly #batcher: FrameBatcher;
  readonly #cancels: Cancels;
  readonly #lanes = new Map<string, Lane>();

  constructor(options: RouterOptions, events: SenderEvents) {
    this.#o = options;
    this.#events = events;
    const { clock, link, settings } = options;
    this.#tailBytesMax = Math.min(settings.payloadBytesMax, link.frameBytesMax - requestPrefixBytes - frameHeaderBytes);
    this.#tails = new RequestTailEncoder(this.#tailBytesMax);
    this.#batcher = new FrameBatcher({
      kind: frameKind.request,
      clock,
      frameBytesMax: link.frameBytesMax,
      frameCountMax: settings.frameCountMax,
      send: (to, frame, count) => this.#sendFrame(to, frame, count),
    });
    this.#cancels = new Cancels({ clock, link, frames: this.frames, flushRequests: () => this.#batcher.flush() });
  }

  /** Makes the call's wire form. Throws `payload.not_plain` or `payload.too_large`. */
  encode(pending: Pending, input: unknown): void {
    const { headers, chain, idempotencyKey, onBehalfOf } = pending.options;
    const { type, key, method } = pending;
    pending.tail = this.#tails.encode(type, key, method, input, headers, chain, idempotencyKey, this.#o.callerName, onBehalfOf);
  }

  /**
   * Makes the call's own copy of its input, for an actor of this very node. Throws as `encode`, since that actor may be on another node when it
   * is called the next time: only what could be too large is encoded for that.
   */
  copy(pending: Pending, input: unknown): void {
    const { type, key, method, options } = pending;
    const copy = new PlainCopy(input);
    pending.input = copy.value;
    const bytesBeside = tailBytesBesideInput(type, key, method, options, this.#o.callerName);
    if (copy.bytesAtMost + bytesBeside > this.#tailBytesMax) this.encode(pending, pending.input);
  }

  /** Adds the attempt under way to the target's frame. Throws as `encode`. */
  send(pending: Pending, target: Target, now: number): void {
    const { lane } = target;
    if (!pending.tail) this.encode(pending, pending.input);
    if (lane.appended === 0) this.#lanes.set(lane.address, lane);
    const remaining = Math.max(1, Math.ceil(pending.deadline - now));
    lane.appended += 1;
    pending.ordinal = lane.appended;
    this.#batcher.request(lane.address, pending.id, pending.shard, pending.mark, pending.epoch, remaining, pending.tail!);
  }

  /** Tells the target that nobody waits for this attempt any more. */
  cancel(target: Target, id: number): void {
    this.#cancels.add(target.lane, id);
  }

  /** Whether the attempt under way may have reached its target. */
  wasSent({ target, ordinal }: Pending): boolean {
    return target !== undefined && (target.local || ordinal <= target.lane.sent);
  }

  /** What was put into a frame that was not yet handed to the connection is taken out again. */
  dropUnsent(lane: Lane): void {
    if (lane.appended > lane.sent) this.#batcher.drop(lane.address);
    lane.appended = lane.sent;
  }

  /** Tells which attempts a frame held; `undefined` for a frame too old to be remembered. */
  contentOf(token: number): ((pending: Pending) => boolean) | undefined {
    const frame = this.frames.find(token);
    if (!frame) return undefined;
    return ({ target, ordinal }) => target?.lane === frame.lane && ordinal > frame.after && ordinal <= frame.upTo;
  }

  /** The target is gone and nothing of it is waited for. */
  forget(target: Target): void {
    const { lane } = target;
    if (this.#lanes.get(lane.address) === lane) this.#lanes.delete(lane.address);
  }

  /** Takes out everything that was not yet handed to the connection. */
  close(): void {
    for (const lane of this.#lanes.values()) this.dropUnsent(lane);
  }

  #sendFrame(to: string, frame: Uint8Array, count: number): void {
    const lane = this.#lanes.get(to);
    if (!lane) return;
    const { metrics, link } = this.#o;
    const token = this.frames.note(lane, count);
    let isTaken: boolean;
    try {
      isTaken = link.send(to, frame, token);
    } catch (error) {
      this.#events.onThrown(token, error);
      return;
    }
    if (!isTaken) {
      this.#events.onRefused(token);
      return;
    }
    metrics.framesSent.inc();
    metrics.envelopesPerFrame.observe(count);
  }
}
