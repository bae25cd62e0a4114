import type { Clock, Timer } from '../base/clock.ts';
import type { DataLink } from '../contract/transport.ts';
import { frameKind, headerOnlyFrame } from './frame.ts';
import type { Target } from './routes.ts';
import type { SentFrames } from './sent-frames.ts';

/** How long a target that is gone, and yet listened to by somebody, may take to answer. */
const patienceMs = 250;

export interface LastWordsOptions {
  readonly clock: Clock;
  readonly link: DataLink;
  readonly sent: SentFrames;
  /** What the target may have got, up to this place in its lane, and has not answered by now, it never will. */
  readonly onSilence: (target: Target, upTo: number) => void;
}

/**
 * Finds the moment from which a target that is gone can have nothing more to say. An empty frame is sent after all the others: when it comes
 * back as undeliverable, so did before it every frame that was not delivered, and every answer that was given is here. What is left then was
 * delivered and not answered. A target that is still connected (a stalled process, a cut link) brings nothing back, and gets a short time.
 * So does one whose connection was made anew: it may still answer what it had got before, and what was on the old connection is lost.
 */
export class LastWords {
  readonly #o: LastWordsOptions;
  readonly #waiting = new Map<number, { readonly target: Target; readonly upTo: number; readonly timer: Timer }>();

  constructor(options: LastWordsOptions) {
    this.#o = options;
  }

  await(target: Target): void {
    const { clock, sent } = this.#o;
    const upTo = target.lane.sent;
    const token = sent.note(target.lane, 0);
    if (!this.#send(target, token)) {
      this.#o.onSilence(target, upTo);
      return;
    }
    this.#waiting.set(token, { target, upTo, timer: clock.setTimer(patienceMs, () => this.came(token)) });
  }

  #send(target: Target, token: number): boolean {
    try {
      return this.#o.link.send(target.lane.address, headerOnlyFrame(frameKind.request), token);
    } catch {
      return false;
    }
  }

  /** The frame with this token came back, or never will. */
  came(token: number): void {
    const waiting = this.#waiting.get(token);
    if (!waiting) return;
    this.#waiting.delete(token);
    waiting.timer.cancel();
    this.#o.onSilence(waiting.target, waiting.upTo);
  }

  stop(): void {
    for (const { timer } of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }
}
