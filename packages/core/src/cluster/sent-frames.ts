import type { Address } from '../contract/transport.ts';

const remembered = 8_192;

/** Counts what went to one address: an envelope is known by its ordinal in the lane, from 1. */
export interface Lane {
  readonly address: Address;
  /** Put into a frame. */
  appended: number;
  /** Handed to the connection. */
  sent: number;
}

export const newLane = (address: Address): Lane => ({ address, appended: 0, sent: 0 });

interface SentFrame {
  readonly token: number;
  readonly lane: Lane;
  /** Ordinals in the frame: above `after`, up to `upTo`. */
  readonly after: number;
  readonly upTo: number;
}

/** Which envelopes went into which of the last frames, so that a frame that reached nobody tells which calls were certainly not executed. */
export class SentFrames {
  /** Grows to its size with the first frames: most processes never send so many. */
  readonly #ring: (SentFrame | undefined)[] = [undefined];
  #token = 0;

  /** The token of the frame that is about to be handed to the connection. */
  note(lane: Lane, count: number): number {
    this.#token += 1;
    const token = this.#token;
    this.#ring[token % remembered] = { token, lane, after: lane.sent, upTo: lane.sent + count };
    lane.sent += count;
    return token;
  }

  /** `undefined` for a frame too old to be remembered; its calls then end as unknown. */
  find(token: number): SentFrame | undefined {
    const frame = this.#ring[token % remembered];
    return frame?.token === token ? frame : undefined;
  }
}
