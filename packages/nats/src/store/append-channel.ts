import type { AppendListener, AppendOutcome, Clock, Random, Timer } from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import type { LiveConnection } from '../connection.ts';
import type { Wanted } from '../subscription.ts';
import { nobodyThere, reachedNobody } from './append-answer.ts';
import type { AckReader } from './append-answer.ts';
import { AppendFrames } from './append-frames.ts';
import { AppendsUnderWay, type UnderWay } from './appends-under-way.ts';

/** How often appends without an answer are looked for. */
const sweepMs = 100;

export interface AppendLimits {
  readonly timeoutMs: number;
  readonly inFlightMax: number;
  readonly inFlightBytesMax: number;
}

/** The log that an append is for. */
export interface AppendTarget {
  readonly acks: AckReader;
  onAppended(subject: string, sequence: number): void;
  /** The server says that nobody takes appends of this log. */
  onNobody(): void;
}

export interface ChannelEnvironment {
  readonly clock: Clock;
  readonly random: Random;
  readonly inboxPrefix: string;
  /** More is written than the server reads. */
  readonly onWritten: (live: LiveConnection) => void;
}

interface Waiting extends UnderWay {
  readonly listener: AppendListener;
  readonly target: AppendTarget;
  readonly subject: string;
  readonly bytes: number;
}

const lost: AppendOutcome = Object.freeze({ kind: 'unknown', text: 'the connection to NATS was lost before the append was acknowledged' });
const late: AppendOutcome = Object.freeze({ kind: 'unknown', text: 'the append was not acknowledged in time' });
const down: AppendOutcome = Object.freeze({ kind: 'refused', reason: 'unavailable', text: 'not connected to NATS; nothing was sent' });

/**
 * Appends under way on one connection. Each is one publish that waits for no other; all answers come to one inbox, whose name nobody else
 * knows, with the number of the append as its last token.
 * Invariant: an append ends as `refused` only where nothing was sent, or where the server said that nothing was stored. Whatever was sent
 * and not answered on this very connection ends as `unknown`.
 */
export class AppendChannel {
  readonly #limits: AppendLimits;
  readonly #around: ChannelEnvironment;
  readonly #waiting = new AppendsUnderWay<Waiting>();
  #live: LiveConnection | undefined;
  #frames: AppendFrames | undefined;
  #inbox = '';
  /** When the step began of which appends wait to be written. */
  #stepAt = 0;
  #bytes = 0;
  #sweep: Timer | undefined;
  #idle: (() => void) | undefined;

  constructor(limits: AppendLimits, around: ChannelEnvironment) {
    this.#limits = limits;
    this.#around = around;
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  /** The subscription for the answers on a new connection, under a new name. */
  inbox(): Wanted {
    const inbox = `${this.#around.inboxPrefix}.perkey_${this.#around.random.hex(16)}.`;
    this.#inbox = inbox;
    return { subject: `${inbox}*`, onMessage: (message) => this.#onAnswer(inbox, message) };
  }

  /** The connection is up, and `inbox` is subscribed to on it. */
  attach(live: LiveConnection): void {
    this.#live = live;
    // Between the library's own messages, which it writes whole.
    this.#frames = new AppendFrames((bytes) => {
      live.socket.write(bytes);
      this.#around.onWritten(live);
    });
  }

  /** The connection is lost: what is in flight is unknown from now on. */
  detach(): void {
    this.#live = undefined;
    this.#frames?.drop();
    this.#frames = undefined;
    this.#inbox = '';
    const waiting = this.#waiting.takeSentUntil(Infinity);
    this.#bytes = 0;
    for (const { listener } of waiting) listener.onOutcome(lost);
    this.#rest();
  }

  /** Resolves when nothing is in flight any more; at the latest when the last append is given up. */
  drained(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle = resolve;
    });
  }

  append(target: AppendTarget, subject: string, expectedSequence: number, body: Uint8Array): Promise<AppendOutcome> {
    return new Promise((resolve) => this.send(target, subject, expectedSequence, body, { onOutcome: resolve }));
  }

  /** The listener is told once, perhaps before this returns. */
  send(target: AppendTarget, subject: string, expectedSequence: number, body: Uint8Array, listener: AppendListener): void {
    const [live, frames] = [this.#live, this.#frames];
    if (live === undefined || frames === undefined || live.nats.isClosed()) return listener.onOutcome(down);
    const { inFlightMax, inFlightBytesMax } = this.#limits;
    if (this.#waiting.size >= inFlightMax || this.#bytes + body.length > inFlightBytesMax) {
      const text = `${this.#waiting.size} appends of ${this.#bytes} bytes wait for their acknowledgement, and ${inFlightMax} of ${inFlightBytesMax} bytes may; nothing was sent`;
      return listener.onOutcome({ kind: 'refused', reason: 'unavailable', text });
    }
    const number = this.#waiting.nextNumber();
    if (frames.isEmpty) this.#stepAt = this.#around.clock.now();
    this.#waiting.add({ number, listener, target, subject, bytes: body.length, sentAt: this.#stepAt });
    this.#bytes += body.length;
    if (this.#sweep === undefined) this.#sweepLater();
    frames.add(subject, this.#inbox + number, expectedSequence, body);
  }

  #onAnswer(inbox: string, message: Msg): void {
    // The library goes on with what it has read when its connection was lost meanwhile.
    if (inbox !== this.#inbox) return;
    const waiting = this.#waiting.take(Number(message.subject.slice(inbox.length)));
    if (waiting === undefined) return;
    this.#bytes -= waiting.bytes;
    if (this.#waiting.size === 0) this.#tellIdle();
    waiting.listener.onOutcome(outcomeOf(waiting, message));
  }

  #rest(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#tellIdle();
  }

  #tellIdle(): void {
    this.#idle?.();
    this.#idle = undefined;
  }

  /** A late timer proves only that this process stood still: answers that came meanwhile are read first. */
  #sweepLater(): void {
    const { clock } = this.#around;
    const setAt = clock.now();
    this.#sweep = clock.setTimer(sweepMs, () => {
      const now = clock.now();
      if (now - setAt < 2 * sweepMs) this.#giveUp(now - this.#limits.timeoutMs);
      if (this.#waiting.size > 0) this.#sweepLater();
      else this.#rest();
    });
  }

  #giveUp(sentUntil: number): void {
    for (const { listener, bytes } of this.#waiting.takeSentUntil(sentUntil)) {
      this.#bytes -= bytes;
      listener.onOutcome(late);
    }
  }
}

function outcomeOf({ target, subject }: Waiting, message: Msg): AppendOutcome {
  const sequence = target.acks.fast(message.data);
  if (sequence > 0) {
    target.onAppended(subject, sequence);
    return { kind: 'appended', sequence };
  }
  if (reachedNobody(message)) {
    target.onNobody();
    return nobodyThere;
  }
  const outcome = target.acks.slow(message.data);
  if (outcome.kind === 'appended') target.onAppended(subject, outcome.sequence);
  return outcome;
}
