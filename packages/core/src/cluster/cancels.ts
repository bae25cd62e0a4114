import type { Clock } from '../base/clock.ts';
import type { DataLink } from '../contract/transport.ts';
import { encodeControlFrame, frameKind } from './frame.ts';
import type { Lane, SentFrames } from './sent-frames.ts';

const idsPerFrame = 500;

export interface CancelsOptions {
  readonly clock: Clock;
  readonly link: DataLink;
  readonly frames: SentFrames;
  /** Sends the requests that still wait for the end of this turn of the event loop: none is to be cancelled before it arrives. */
  readonly flushRequests: () => void;
}

/** Tells nodes which attempts nobody waits for any more: at the end of the turn of the event loop, all of a node together. At most once. */
export class Cancels {
  readonly #o: CancelsOptions;
  #byLane = new Map<Lane, number[]>();

  constructor(options: CancelsOptions) {
    this.#o = options;
  }

  add(lane: Lane, id: number): void {
    if (this.#byLane.size === 0) this.#o.clock.defer(() => this.#send());
    const ids = this.#byLane.get(lane);
    if (ids) ids.push(id);
    else this.#byLane.set(lane, [id]);
  }

  #send(): void {
    const byLane = this.#byLane;
    this.#byLane = new Map();
    this.#o.flushRequests();
    for (const [lane, ids] of byLane) {
      for (let from = 0; from < ids.length; from += idsPerFrame) this.#sendFrame(lane, ids.slice(from, from + idsPerFrame));
    }
  }

  #sendFrame(lane: Lane, ids: readonly number[]): void {
    const { link, frames } = this.#o;
    if (!link.up) return;
    try {
      link.send(lane.address, encodeControlFrame(frameKind.cancel, ids), frames.note(lane, 0));
    } catch {
      // The connection broke: whoever works for these calls goes on until their deadlines.
    }
  }
}
