import type { Clock, Timer } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';
import { decode, encode } from '../base/codec.ts';
import type { CarriedActor } from '../contract/calls.ts';
import type { Address, DataLink } from '../contract/transport.ts';
import { controlLimits, encodeControlFrame, frameKind } from './frame.ts';
import { type Incarnated, isIncarnated } from './records.ts';

/** One message of a transfer. */
export interface TransferPart {
  readonly transfer: string;
  readonly shard: number;
  readonly part: number;
  readonly last: boolean;
  readonly from: Incarnated;
  /** Each one encoded by itself, so that one is bounded by itself. */
  readonly actors: readonly Uint8Array[];
}

export interface TransferAck {
  readonly transfer: string;
  readonly part: number;
  readonly accepted: boolean;
}

interface Sending {
  readonly transfer: string;
  readonly waiting: Map<number, { resolve: () => void; reject: (error: PerkeyError) => void; timer: Timer }>;
}

export interface TransferSenderOptions {
  readonly clock: Clock;
  readonly link: DataLink;
  readonly self: Incarnated;
  /** How long one part may stay unanswered. */
  readonly partTimeoutMs: number;
  readonly partBytesMax: number;
}

/** Sends the state of a shard's actors to the node that will own it, in parts, each acknowledged. */
export class TransferSender {
  readonly #options: TransferSenderOptions;
  readonly #sending = new Map<string, Sending>();

  constructor(options: TransferSenderOptions) {
    this.#options = options;
  }

  /** Resolves when the receiver holds everything. A rejection leaves the shard with the sender. */
  async send(to: Address, shard: number, transfer: string, actors: readonly Uint8Array[]): Promise<void> {
    const sending: Sending = { transfer, waiting: new Map() };
    this.#sending.set(transfer, sending);
    try {
      const parts = split(actors, this.#options.partBytesMax);
      for (const [part, chunk] of parts.entries()) {
        await this.#sendPart(to, sending, {
          transfer,
          shard,
          part,
          last: part === parts.length - 1,
          from: this.#options.self,
          actors: chunk,
        });
      }
    } finally {
      this.#sending.delete(transfer);
    }
  }

  onAck(ack: TransferAck): void {
    const waiting = this.#sending.get(ack.transfer)?.waiting.get(ack.part);
    if (!waiting) return;
    if (ack.accepted) waiting.resolve();
    else waiting.reject(new PerkeyError('node.unreachable', 'the successor refused a part of the transfer'));
  }

  #sendPart(to: Address, sending: Sending, part: TransferPart): Promise<void> {
    const { clock, link, partTimeoutMs } = this.#options;
    return new Promise<void>((resolve, reject) => {
      const unreachable = (): void => reject(new PerkeyError('node.unreachable', `the successor did not acknowledge shard ${part.shard}`));
      const timer = clock.setTimer(partTimeoutMs, unreachable);
      sending.waiting.set(part.part, { resolve, reject, timer });
      if (!link.send(to, encodeControlFrame(frameKind.handoff, part, link.frameBytesMax, controlLimits), 0)) unreachable();
    }).finally(() => {
      sending.waiting.get(part.part)?.timer.cancel();
      sending.waiting.delete(part.part);
    });
  }
}

interface Arriving {
  readonly shard: number;
  readonly from: Incarnated;
  readonly actors: Uint8Array[];
  next: number;
  complete: boolean;
}

/** Holds what other nodes sent until the shard is claimed or its transfer is void. */
export class TransferReceiver {
  readonly #arriving = new Map<string, Arriving>();
  /** Takes one part; a repeated part is acknowledged again and not taken twice. */
  receive(part: TransferPart): TransferAck {
    const ack = { transfer: part.transfer, part: part.part, accepted: true };
    let arriving = this.#arriving.get(part.transfer);
    if (!arriving) {
      this.#forgetShard(part.shard);
      arriving = { shard: part.shard, from: part.from, actors: [], next: 0, complete: false };
      this.#arriving.set(part.transfer, arriving);
    }
    if (part.part > arriving.next) return { ...ack, accepted: false };
    if (part.part === arriving.next) {
      for (const actor of part.actors) arriving.actors.push(actor);
      arriving.next += 1;
      arriving.complete ||= part.last;
    }
    return ack;
  }

  /** The actors of a complete transfer, once; `undefined` when this node does not hold it. */
  take(transfer: string): readonly CarriedActor[] | undefined {
    const arriving = this.#arriving.get(transfer);
    if (!arriving?.complete) return undefined;
    this.#arriving.delete(transfer);
    return arriving.actors.map(decodeActor);
  }

  /** Drops what came from incarnations that are gone, other than transfers that `keep` names. */
  sweep(isGone: (from: Incarnated) => boolean, keep: (transfer: string, shard: number) => boolean): void {
    for (const [transfer, arriving] of this.#arriving) {
      if (isGone(arriving.from) && !keep(transfer, arriving.shard)) this.#arriving.delete(transfer);
    }
  }

  #forgetShard(shard: number): void {
    for (const [transfer, arriving] of this.#arriving) if (arriving.shard === shard) this.#arriving.delete(transfer);
  }
}

/** One actor in its travelling form. Throws `payload.not_plain` when its state cannot travel. */
export function encodeActor(actor: CarriedActor): Uint8Array {
  return encode([actor.type, actor.key, actor.state, actor.window, actor.timers], controlLimits);
}

function decodeActor(bytes: Uint8Array): CarriedActor {
  const [type, key, state, window, timers] = decode(bytes, 0, bytes.length, controlLimits) as [string, string, unknown, unknown, unknown];
  return { type, key, state, window, timers };
}

/** Groups actors into parts of at most `bytesMax`; at least one part, so that an empty transfer is acknowledged too. */
function split(actors: readonly Uint8Array[], bytesMax: number): Uint8Array[][] {
  const parts: Uint8Array[][] = [[]];
  let bytes = 0;
  for (const actor of actors) {
    if (bytes > 0 && bytes + actor.length > bytesMax) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(actor);
    bytes += actor.length + 5;
  }
  return parts;
}

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array;

/** `undefined` for a value from the wire that is no transfer part. */
export function parsePart(value: unknown): TransferPart | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { transfer, shard, part, last, from, actors } = value as Record<string, unknown>;
  const whole = typeof transfer === 'string' && Number.isSafeInteger(shard) && Number.isSafeInteger(part) && typeof last === 'boolean';
  if (!whole || !isIncarnated(from) || !Array.isArray(actors) || !actors.every(isBytes)) return undefined;
  return value as TransferPart;
}

/** `undefined` for a value from the wire that is no acknowledgement. */
export function parseAck(value: unknown): TransferAck | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { transfer, part, accepted } = value as Record<string, unknown>;
  const whole = typeof transfer === 'string' && Number.isSafeInteger(part) && typeof accepted === 'boolean';
  return whole ? (value as TransferAck) : undefined;
}
