import { FrameBatcher, frameKind, RequestTailEncoder } from '@perkey/core/internal';
import { counterKeys } from './counter.ts';

/** Where an envelope alone in its frame has the caller's number, requests and replies alike. */
export const idOffset = 8;
/** A frame's header, before its first envelope. */
export const headerBytes = 4;

type Write = (batcher: FrameBatcher) => void;

function frameOf(kind: 1 | 2, write: Write): Uint8Array {
  let written: Uint8Array | undefined;
  const clock = { now: (): number => 0, wall: (): number => 0, setTimer: () => ({ cancel: () => {} }), defer: (): void => {} };
  const send = (_to: string, frame: Uint8Array): void => {
    written = frame.slice();
  };
  const batcher = new FrameBatcher({ kind, clock, frameBytesMax: 65_536, send });
  write(batcher);
  batcher.flush();
  if (written === undefined) throw new Error('the batcher sent nothing');
  return written;
}

/** The frames of one request for each of the keys, as the product sends them. */
export function requestFrames(): readonly Uint8Array[] {
  const tails = new RequestTailEncoder(65_536);
  return counterKeys.map((key) => {
    const tail = tails.encode('counter', key, 'increment', { amount: 1 }, undefined, undefined, undefined, '');
    return frameOf(frameKind.request, (batcher) => batcher.request('node', 0, 0, 0, 1_700_000_000_000, 10_000, tail));
  });
}

/** The size of the frame of one reply, at counts between 2^16 and 2^32. */
export function replyFrameBytes(): number {
  const value = { counter_id: counterKeys.at(-1), value: 100_000 };
  return frameOf(frameKind.reply, (batcher) => batcher.reply('client', 0, value)).length;
}

export function readId(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
  );
}

export function writeId(bytes: Uint8Array, at: number, id: number): void {
  bytes[at] = id >>> 24;
  bytes[at + 1] = id >>> 16;
  bytes[at + 2] = id >>> 8;
  bytes[at + 3] = id;
}
