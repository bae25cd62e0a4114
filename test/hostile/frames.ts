import { encode, frameKind, RequestTailEncoder } from '@perkey/core/internal';
import type { Random } from '@perkey/core';
import { frame, requestFrame } from '../faults/support/raw-frames.ts';
import { anyText, anyValue, below, marker, pick } from './corpus.ts';

/** Where a key lives, which whoever wants to be read beyond the envelope must know. */
export interface Place {
  readonly key: string;
  readonly shard: number;
  readonly epoch: number;
}

export interface HostileFrame {
  readonly bytes: Uint8Array;
  /** By which address of the node it comes. */
  readonly to: 'node' | 'peer' | 'any' | 'clients';
}

const tails = new RequestTailEncoder(1_000_000);
const methods = ['put', 'get', 'echo', 'nope', '', 'constructor', '__proto__', 'toString', 'state', marker] as const;

function tailOf(random: Random, key: string): Uint8Array {
  const chain = random.next() < 0.1 ? [anyText(random), 'box/k', anyText(random)] : undefined;
  const headers = random.next() < 0.2 ? { [anyText(random) || 'h']: anyText(random) } : undefined;
  const idempotencyKey = random.next() < 0.2 ? pick(random, ['once', anyText(random)]) : undefined;
  const [type, method] = [random.next() < 0.9 ? 'box' : anyText(random), pick(random, methods)];
  try {
    return tails.encode(type, key, method, anyValue(random), headers, chain, idempotencyKey, anyText(random), anyText(random));
  } catch {
    return tails.encode(type, key, method, undefined, undefined, undefined, undefined, '');
  }
}

/** A request as a client would send it, or with some fields that no client would send. */
function request(random: Random, places: readonly Place[]): Uint8Array {
  const { key, shard, epoch } = pick(random, places);
  const odd = random.next();
  return requestFrame({
    id: below(random, 2 ** 32),
    shard: odd < 0.1 ? below(random, 65_536) : shard,
    flags: odd > 0.9 ? below(random, 65_536) : 0,
    epoch: odd > 0.1 && odd < 0.2 ? pick(random, [Number.NaN, -1, 0, Infinity, epoch + 1, epoch - 1, 2 ** 60]) : epoch,
    remainingMs: pick(random, [0, 1, 5_000, 5_000, 5_000, 4_294_967_295]),
    tail: tailOf(random, odd > 0.2 && odd < 0.4 ? anyText(random) : key),
    ...(odd > 0.4 && odd < 0.45 ? { length: pick(random, [0, 8, 23, 24, 25, 0xffff_ffff]) } : {}),
  });
}

/** Some bytes are other ones, or missing, or too many. The header stays, so that they are looked at. */
function damaged(random: Random, whole: Uint8Array): Uint8Array {
  const bytes = random.next() < 0.3 ? whole.slice(0, below(random, whole.length + 1)) : whole.slice();
  for (let hits = below(random, 6); hits > 0 && bytes.length > 4; hits -= 1)
    bytes[4 + below(random, bytes.length - 4)] = below(random, 256);
  return random.next() < 0.1 ? Buffer.concat([bytes, Buffer.alloc(below(random, 50), below(random, 256))]) : bytes;
}

function noise(random: Random): Uint8Array {
  return Uint8Array.from({ length: below(random, 120) }, () => below(random, 256));
}

function control(random: Random): Uint8Array {
  const kinds = [frameKind.reply, frameKind.handoff, frameKind.handoffAck, frameKind.topologyAsk, frameKind.cancel, 0, 8, 200];
  const value = (): Uint8Array => {
    try {
      return encode(anyValue(random));
    } catch {
      return Uint8Array.of(0xc1);
    }
  };
  return frame(pick(random, kinds), random.next() < 0.6 ? value() : noise(random), random.next() < 0.95 ? 1 : below(random, 256));
}

/** What costs most for its size: deep, wide, long, many. */
function bomb(random: Random, places: readonly Place[]): Uint8Array {
  const { shard, epoch, key } = pick(random, places);
  const head = tails.encode('box', key, 'echo', undefined, undefined, undefined, undefined, '').slice();
  head[0] = 0x94;
  const within = (...parts: readonly Uint8Array[]): Uint8Array => requestFrame({ shard, epoch, tail: Buffer.concat([head, ...parts]) });
  const count = (bytes: number): Buffer => Buffer.from([0xdd, bytes >>> 24, (bytes >>> 16) & 255, (bytes >>> 8) & 255, bytes & 255]);
  const size = pick(random, [1_000, 50_000, 250_000, 900_000]);
  const envelope = requestFrame({ shard, epoch, remainingMs: 0, tail: Uint8Array.of(0xc0) }).slice(4);
  return pick(random, [
    () => within(Buffer.alloc(size, 0x91)),
    () => within(count(size), Buffer.alloc(size, 0x80)),
    () => within(count(size), Buffer.alloc(size, 0xa0)),
    () => within(count(0xffff_fff0)),
    () => frame(frameKind.cancel, Buffer.concat([count(size), Buffer.alloc(size, 0x80)])),
    () => frame(frameKind.cancel, Buffer.concat([count(size), Buffer.alloc(size, 0x01)])),
    () => frame(frameKind.reply, Buffer.alloc(size, 0x00)),
    () => frame(frameKind.request, Buffer.concat(Array.from({ length: Math.floor(size / envelope.length) }, () => envelope))),
  ])();
}

export function hostileFrame(random: Random, places: readonly Place[]): HostileFrame {
  const kind = random.next();
  const to = pick(random, ['node', 'node', 'node', 'node', 'peer', 'any', 'clients'] as const);
  if (kind < 0.0005) return { bytes: bomb(random, places), to: 'node' };
  if (kind < 0.35) return { bytes: request(random, places), to: to === 'peer' ? 'peer' : 'node' };
  if (kind < 0.7) return { bytes: damaged(random, request(random, places)), to };
  if (kind < 0.95) return { bytes: control(random), to };
  return { bytes: noise(random), to };
}
