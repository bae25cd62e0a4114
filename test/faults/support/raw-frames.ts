import { frameKind, RequestTailEncoder } from '@perkey/core/internal';

const protocol = 1;

/** Bytes behind the header of a frame; all fields may be wrong on purpose. */
export function frame(kind: number, content: Uint8Array = new Uint8Array(), version: number = protocol): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x50, 0x4b, version, kind), content]);
}

export interface RawRequest {
  readonly id?: number;
  readonly shard: number;
  readonly flags?: number;
  readonly epoch: number;
  readonly remainingMs?: number;
  /** Default: a call of `get` on key `k` of type `box`. */
  readonly tail?: Uint8Array;
  /** What the envelope says of its length; default: the truth. */
  readonly length?: number;
}

export function requestTail(type: string, key: string, method: string, input?: unknown): Uint8Array {
  return new RequestTailEncoder(1_000_000).encode(type, key, method, input, undefined, undefined, undefined, '');
}

/** A frame of one request, as a client would send it. */
export function requestFrame(request: RawRequest): Uint8Array {
  const { id = 1, shard, flags = 0, epoch, remainingMs = 5_000, tail = requestTail('box', 'k', 'get') } = request;
  const prefix = Buffer.alloc(24);
  prefix.writeUInt32BE(request.length ?? prefix.length + tail.length, 0);
  prefix.writeUInt32BE(id, 4);
  prefix.writeUInt16BE(shard, 8);
  prefix.writeUInt16BE(flags, 10);
  prefix.writeDoubleBE(epoch, 12);
  prefix.writeUInt32BE(remainingMs, 20);
  return frame(frameKind.request, Buffer.concat([prefix, tail]));
}

/** In every frame that holds free text: it must never be seen in a log. */
export const marker = 'CONTENT-OF-A-FRAME';

const text = (value: string): Uint8Array => Buffer.concat([Uint8Array.of(0xa0 | value.length), Buffer.from(value)]);
const repeated = (byte: number, count: number): Uint8Array => Buffer.alloc(count, byte);

/** Frames that no part of the product would send, each with a name. What a node does with each: drop it, and count it. */
export function malformedFrames(shard: number, epoch: number): readonly (readonly [string, Uint8Array])[] {
  const withTail = (tail: Uint8Array): Uint8Array => requestFrame({ shard, epoch, tail });
  const whole = requestFrame({ shard, epoch });
  return [
    ['nothing', new Uint8Array()],
    ['one byte', Uint8Array.of(0x50)],
    ['half a header', Uint8Array.of(0x50, 0x4b, protocol)],
    ['another magic', Buffer.from(`XX\u0001\u0001${marker}`)],
    ['text', Buffer.from(`{"hello":"${marker}"}`)],
    ['version 9', frame(frameKind.request, Buffer.from(marker), 9)],
    ['kind 0', frame(0, Buffer.from(marker))],
    ['kind 200', frame(200, Buffer.from(marker))],
    ['a request without its end', whole.subarray(0, whole.length - 1)],
    ['a request cut in its prefix', whole.subarray(0, 10)],
    ['an envelope that says it has no bytes', requestFrame({ shard, epoch, length: 0 })],
    ['an envelope that says it has 4 GB', requestFrame({ shard, epoch, length: 0xffff_ffff })],
    ['an envelope that says it is shorter than its prefix', requestFrame({ shard, epoch, length: 8 })],
    ['no tail', withTail(new Uint8Array())],
    ['a tail that is a text', withTail(text(marker))],
    ['a tail of two parts', withTail(Buffer.concat([Uint8Array.of(0x92), text('box'), text('k')]))],
    ['a tail of a billion parts', withTail(Uint8Array.of(0xdd, 0x40, 0, 0, 0))],
    ['a tail of numbers', withTail(Uint8Array.of(0x93, 1, 2, 3))],
    ['a type that is no name', withTail(Buffer.concat([Uint8Array.of(0x93), text('a b>*'), Uint8Array.of(0xc0, 0xc0)]))],
    ['something behind the tail', withTail(Buffer.concat([requestTail('box', 'k', 'get'), text(marker)]))],
    ['arrays 100,000 deep', withTail(Buffer.concat([Uint8Array.of(0x94), text('box'), text('k'), text('get'), repeated(0x91, 100_000)]))],
    ['100,000 empty maps', withTail(Buffer.concat([tailWithInput(), Uint8Array.of(0xdd, 0, 1, 0x86, 0xa0), repeated(0x80, 100_000)]))],
    ['an extension type', withTail(Buffer.concat([tailWithInput(), Uint8Array.of(0xc7, 3, 0x65, 1, 2, 3)]))],
    ['the key of another shard', requestFrame({ shard: (shard + 1) % 256, epoch })],
    ['a reply that is cut', frame(frameKind.reply, Uint8Array.of(0, 0, 0, 40, 1))],
    ['a handoff that is not for this subject', frame(frameKind.handoff, Uint8Array.of(0x80))],
    ['a handoff that cannot be read', frame(frameKind.handoff, Uint8Array.of(0xc1))],
    ['a topology for a node', frame(frameKind.topology, Uint8Array.of(0x80))],
    ['a topology that cannot be read', frame(frameKind.topology, Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff))],
  ];
}

function tailWithInput(): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x94), text('box'), text('k'), text('get')]);
}
