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
  /** Under which the sender owns the shard. */
  readonly epoch: number;
  /** Each one encoded by itself, so that one is bounded by itself. */
  readonly actors: readonly Uint8Array[];
  /** The last of `actors` goes on in the next part: it is larger than a part. */
  readonly more: boolean;
}

export interface TransferAck {
  readonly transfer: string;
  readonly part: number;
  readonly accepted: boolean;
}

/** One part on its way. */
interface Sending {
  readonly part: number;
  /** Of the frames that carried it. */
  readonly tokens: Set<number>;
  readonly acked: () => void;
  readonly failed: (error: PerkeyError) => void;
}

/** Tokens of transfers start here, far above those of requests. */
const firstToken = 2 ** 52;

/** A part is sent so many times before it counts as unanswered: a link that redials loses what was under way. */
const attemptsMax = 5;

/** Transfers of one shard that a receiver holds; all but the last one are what became of earlier attempts. */
const heldPerShardMax = 4;

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
  /** By transfer: parts are sent one after the other. */
  readonly #sending = new Map<string, Sending>();
  #token = firstToken;

  constructor(options: TransferSenderOptions) {
    this.#options = options;
  }

  /** Resolves when the receiver holds everything. A rejection leaves the shard with the sender. */
  async send(to: Address, shard: number, transfer: string, actors: readonly Uint8Array[], epoch: number): Promise<void> {
    const parts = split(actors, this.#options.partBytesMax);
    for (const [part, content] of parts.entries()) {
      const last = part === parts.length - 1;
      await this.#sendPart(to, { transfer, shard, part, last, from: this.#options.self, epoch, ...content });
    }
  }

  onAck(ack: TransferAck): void {
    const sending = this.#sending.get(ack.transfer);
    if (sending?.part !== ack.part) return;
    if (ack.accepted) sending.acked();
    else sending.failed(new PerkeyError('node.unreachable', 'the successor refused a part of the transfer'));
  }

  /** A frame reached nobody. `false` when it was none of a transfer. */
  onUndeliverable(token: number): boolean {
    if (token < firstToken) return false;
    for (const sending of this.#sending.values()) {
      if (sending.tokens.has(token)) sending.failed(new PerkeyError('node.unreachable', 'nobody listens at the address of the successor'));
    }
    return true;
  }

  async #sendPart(to: Address, part: TransferPart): Promise<void> {
    const { clock, link, partTimeoutMs } = this.#options;
    const frame = encodeControlFrame(frameKind.handoff, part, link.frameBytesMax, controlLimits);
    let timer: Timer | undefined;
    const answered = new Promise<void>((resolve, reject) => {
      const tokens = new Set<number>();
      const unreachable = (): void => reject(new PerkeyError('node.unreachable', `the successor did not acknowledge shard ${part.shard}`));
      const attempt = (): void => {
        if (tokens.size === attemptsMax) {
          unreachable();
          return;
        }
        this.#token += 1;
        tokens.add(this.#token);
        timer = clock.setTimer(partTimeoutMs / attemptsMax, attempt);
        if (!link.send(to, frame, this.#token)) unreachable();
      };
      this.#sending.set(part.transfer, { part: part.part, tokens, acked: resolve, failed: reject });
      attempt();
    });
    try {
      await answered;
    } finally {
      timer?.cancel();
      this.#sending.delete(part.transfer);
    }
  }
}

interface Arriving {
  readonly shard: number;
  readonly from: Incarnated;
  readonly epoch: number;
  actors: CarriedActor[];
  /** The beginning of an actor that is larger than a part. */
  begun: Uint8Array[];
  next: number;
  state: 'arriving' | 'complete' | 'taken';
}

/** Holds what other nodes sent until the shard is claimed or its transfer is void. */
export class TransferReceiver {
  /** In the order in which they began. */
  readonly #arriving = new Map<string, Arriving>();

  /** How many transfers are held. */
  get size(): number {
    return this.#arriving.size;
  }

  /** Takes one part, unless it cannot be read; a repeated part is acknowledged again and not taken twice. */
  receive(part: TransferPart): TransferAck {
    const ack = { transfer: part.transfer, part: part.part, accepted: true };
    const arriving = this.#arriving.get(part.transfer) ?? this.#begin(part);
    if (!arriving || part.part > arriving.next || part.shard !== arriving.shard) return { ...ack, accepted: false };
    if (part.part < arriving.next || arriving.state !== 'arriving') return ack;
    try {
      this.#takeActors(arriving, part);
    } catch {
      this.#arriving.delete(part.transfer);
      return { ...ack, accepted: false };
    }
    arriving.next += 1;
    if (part.last) arriving.state = 'complete';
    return ack;
  }

  #takeActors(arriving: Arriving, part: TransferPart): void {
    const whole = part.more ? part.actors.slice(0, -1) : part.actors;
    for (const bytes of whole) {
      const isWhole = arriving.begun.length === 0;
      arriving.actors.push(decodeActor(isWhole ? bytes : Buffer.concat([...arriving.begun.splice(0), bytes])));
    }
    const begun = part.more ? part.actors.at(-1) : undefined;
    if (begun) arriving.begun.push(begun);
  }

  /** The actors of a complete transfer, once; `undefined` when this node does not hold it. */
  take(transfer: string): readonly CarriedActor[] | undefined {
    const arriving = this.#arriving.get(transfer);
    if (arriving?.state !== 'complete') return undefined;
    const { actors, shard } = arriving;
    for (const [name, other] of this.#arriving) if (other.shard === shard && other !== arriving) this.#arriving.delete(name);
    // The name stays known, so that a part that comes late does not begin it anew.
    arriving.state = 'taken';
    arriving.actors = [];
    return actors;
  }

  /** Drops what came from incarnations that are gone, other than transfers that the record of their shard names, or still may. */
  sweep(isGone: (from: Incarnated) => boolean, mayBeNamed: (transfer: string, shard: number, epoch: number) => boolean): void {
    for (const [transfer, arriving] of this.#arriving) {
      const { from, state, shard, epoch } = arriving;
      if (isGone(from) && (state === 'taken' || !mayBeNamed(transfer, shard, epoch))) this.#arriving.delete(transfer);
    }
  }

  /** Parts may be late: that another transfer of the shard begins does not say that an earlier one is void, only the shard's record does. */
  #begin(part: TransferPart): Arriving | undefined {
    if (part.part !== 0) return undefined;
    const ofShard = [...this.#arriving].filter(([, other]) => other.shard === part.shard);
    const oldest = ofShard.find(([, other]) => other.state !== 'complete') ?? ofShard[0];
    if (oldest && ofShard.length >= heldPerShardMax) this.#arriving.delete(oldest[0]);
    const { shard, from, epoch } = part;
    const arriving: Arriving = { shard, from, epoch, actors: [], begun: [], next: 0, state: 'arriving' };
    this.#arriving.set(part.transfer, arriving);
    return arriving;
  }
}

/** One actor in its travelling form. Throws `payload.not_plain` when its state cannot travel. */
export function encodeActor(actor: CarriedActor): Uint8Array {
  return encode([actor.type, actor.key, actor.state, actor.window, actor.timers], controlLimits);
}

/** Throws for bytes that are not an actor. */
function decodeActor(bytes: Uint8Array): CarriedActor {
  const actor = decode(bytes, 0, bytes.length, controlLimits);
  if (!Array.isArray(actor) || actor.length !== 5)
    throw new PerkeyError('request.malformed', 'a transfer holds something that is no actor');
  const [type, key, state, window, timers] = actor as [unknown, unknown, unknown, unknown, unknown];
  if (typeof type !== 'string' || typeof key !== 'string')
    throw new PerkeyError('request.malformed', 'an actor of a transfer has no address');
  return { type, key, state, window, timers };
}

interface PartContent {
  readonly actors: Uint8Array[];
  more: boolean;
}

/** Groups actors into parts of at most `bytesMax` bytes of actors; at least one part, so that an empty transfer is acknowledged too. */
function split(actors: readonly Uint8Array[], bytesMax: number): readonly PartContent[] {
  let part: PartContent = { actors: [], more: false };
  const parts = [part];
  let left = bytesMax;
  const begin = (more: boolean): void => {
    part.more = more;
    part = { actors: [], more: false };
    parts.push(part);
    left = bytesMax;
  };
  for (const actor of actors) {
    if (left < bytesMax && actor.length > left) begin(false);
    let from = 0;
    for (; actor.length - from > bytesMax; from += bytesMax) {
      part.actors.push(actor.subarray(from, from + bytesMax));
      begin(true);
    }
    part.actors.push(from === 0 ? actor : actor.subarray(from));
    left -= actor.length - from + 5;
  }
  return parts;
}

const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array;

/** `undefined` for a value from the wire that is no transfer part. */
export function parsePart(value: unknown): TransferPart | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { transfer, shard, part, last, from, epoch, actors, more } = value as Record<string, unknown>;
  const hasFlags = typeof last === 'boolean' && typeof more === 'boolean';
  const whole =
    typeof transfer === 'string' && Number.isSafeInteger(shard) && Number.isSafeInteger(part) && Number.isSafeInteger(epoch) && hasFlags;
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
