import { expect, test } from 'vitest';
import { Decoder } from '../base/decoder.ts';
import { PerkeyError } from '../base/errors.ts';
import {
  decodeControlFrame,
  encodeControlFrame,
  EnvelopeReader,
  frameHeaderBytes,
  frameKind,
  protocolVersion,
  readFrameKind,
} from './frame.ts';

const header = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

test('a frame begins with magic, version and kind', () => {
  expect([...encodeControlFrame(frameKind.topology, null)]).toEqual([0x50, 0x4b, protocolVersion, 6, 0xc0]);
  for (const kind of Object.values(frameKind)) expect(readFrameKind(header(0x50, 0x4b, protocolVersion, kind))).toBe(kind);
});

test('what is not a frame is told apart, without its content', () => {
  for (const bytes of [header(), header(0x50), header(0x50, 0x4b, 1)]) expect(readFrameKind(bytes)).toEqual({ problem: 'truncated' });
  expect(readFrameKind(header(0x50, 0x4c, 1, 1))).toEqual({ problem: 'magic' });
  expect(readFrameKind(header(0x7b, 0x22, 0x61, 0x22))).toEqual({ problem: 'magic' });
  expect(readFrameKind(header(0x50, 0x4b, 9, 200))).toEqual({ problem: 'version', theirs: 9, ours: protocolVersion });
  expect(readFrameKind(header(0x50, 0x4b, protocolVersion, 0))).toEqual({ problem: 'kind', kind: 0 });
  expect(readFrameKind(header(0x50, 0x4b, protocolVersion, 8))).toEqual({ problem: 'kind', kind: 8 });
});

test('a control frame carries one value', () => {
  const value = { shard: 7, actors: [{ key: 'k', state: { value: 5n } }] };
  expect(decodeControlFrame(encodeControlFrame(frameKind.handoff, value))).toEqual({ kind: frameKind.handoff, value });
});

test('every truncation of a control frame, and anything behind it, is a problem and never a value', () => {
  const frame = encodeControlFrame(frameKind.handoff, { list: ['abc', 1.5, new Uint8Array(3)], at: new Date(0) });
  for (let end = 0; end < frame.length; end += 1) {
    const problem = end < frameHeaderBytes ? { problem: 'truncated' } : { problem: 'body', kind: frameKind.handoff };
    expect(decodeControlFrame(frame.subarray(0, end))).toEqual(problem);
  }
  expect(decodeControlFrame(Uint8Array.from([...frame, 0]))).toEqual({ problem: 'body', kind: frameKind.handoff });
});

test('a control frame that would be too large, or not plain, is refused before it is sent', () => {
  const code = (run: () => unknown): string => {
    try {
      run();
    } catch (thrown) {
      return (thrown as PerkeyError).code;
    }
    return 'none';
  };
  const text = 'x'.repeat(100);
  const exact = encodeControlFrame(frameKind.handoff, text).length;
  expect(code(() => encodeControlFrame(frameKind.handoff, text, exact))).toBe('none');
  expect(code(() => encodeControlFrame(frameKind.handoff, text, exact - 1))).toBe('payload.too_large');
  expect(code(() => encodeControlFrame(frameKind.handoff, 'x'.repeat(100_000), 1_000))).toBe('payload.too_large');
  expect(code(() => encodeControlFrame(frameKind.handoff, { run: () => 1 }))).toBe('payload.not_plain');
});

class Lengths extends EnvelopeReader {
  read(): number[] {
    const lengths: number[] = [];
    while (this.next()) lengths.push(this.end - this.start);
    return lengths;
  }
}

function frameOf(lengths: number[], bytes: number): Lengths {
  const frame = new Uint8Array(bytes);
  const view = new DataView(frame.buffer);
  let at = frameHeaderBytes;
  for (const length of lengths) {
    view.setUint32(at, length);
    at += length;
  }
  return new Lengths(frame, new Decoder(), 8);
}

test('envelopes are stepped through by their lengths', () => {
  const reader = frameOf([8, 20, 9], 4 + 37);
  expect(reader.read()).toEqual([8, 20, 9]);
  expect(reader.truncated).toBe(false);
  expect(reader.next()).toBe(false);
});

test('a frame without envelopes has none', () => {
  const reader = frameOf([], 4);
  expect(reader.read()).toEqual([]);
  expect(reader.truncated).toBe(false);
});

test.each([
  ['beyond the end', [8, 12], 4 + 8 + 11],
  ['of nothing', [8, 0], 4 + 8 + 20],
  ['less than a prefix', [8, 7], 4 + 8 + 20],
  ['of four billion', [8, 0xffff_ffff], 4 + 8 + 20],
])('a length %s ends the frame there, and what came before stands', (_what, lengths, bytes) => {
  const reader = frameOf(lengths, bytes);
  expect(reader.read()).toEqual([8]);
  expect(reader.truncated).toBe(true);
  expect(reader.next()).toBe(false);
});
