import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Counter } from '../base/metrics.ts';
import type { CarriedActor } from '../contract/calls.ts';
import type { Address, DataLink } from '../contract/transport.ts';
import { encodeControlFrame, frameKind } from './frame.ts';
import { encodeActor, parseAck, parsePart, TransferReceiver, TransferSender } from './handoff.ts';
import type { Incarnated } from './records.ts';
import type { ShardTransfers } from './shard-host.ts';

export interface TransfersOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly link: DataLink;
  readonly self: Incarnated;
  readonly partTimeoutMs: number;
  readonly statesLost: Counter;
}

/** Both ends of the transfers of state of one node. */
export class Transfers implements ShardTransfers {
  readonly #o: TransfersOptions;
  readonly #receiver = new TransferReceiver();
  readonly #sender: TransferSender;

  constructor(options: TransfersOptions) {
    this.#o = options;
    const { clock, link, self, partTimeoutMs } = options;
    this.#sender = new TransferSender({ clock, link, self, partTimeoutMs, partBytesMax: Math.floor(link.frameBytesMax / 2) });
  }

  async send(to: Incarnated, shard: number, transfer: string, actors: readonly CarriedActor[], epoch: number): Promise<boolean> {
    const { link, statesLost, log } = this.#o;
    const encoded: Uint8Array[] = [];
    for (const actor of actors) {
      try {
        encoded.push(encodeActor(actor));
      } catch (error) {
        statesLost.inc();
        log.error({ type: actor.type, err: error }, 'the state of an actor cannot travel and is lost with this move');
      }
    }
    if (encoded.length === 0) return false;
    await this.#sender.send(link.peerAddress(to.nodeId, to.incarnation), shard, transfer, encoded, epoch);
    return true;
  }

  take(transfer: string): readonly CarriedActor[] | undefined {
    return this.#receiver.take(transfer);
  }

  /** From a peer; `false` when it is none, or wants no answer. */
  onPart(value: unknown, from: Address): boolean {
    const part = parsePart(value);
    if (!part || from === '') return false;
    this.#o.link.send(from, encodeControlFrame(frameKind.handoffAck, this.#receiver.receive(part)), -1);
    return true;
  }

  onAck(value: unknown): boolean {
    const ack = parseAck(value);
    if (ack) this.#sender.onAck(ack);
    return ack !== undefined;
  }

  /** `false` when the frame was none of a transfer. */
  onUndeliverable(token: number): boolean {
    return this.#sender.onUndeliverable(token);
  }

  /** See `TransferReceiver.sweep`. */
  sweep(isGone: (from: Incarnated) => boolean, mayBeNamed: (transfer: string, shard: number, epoch: number) => boolean): void {
    this.#receiver.sweep(isGone, mayBeNamed);
  }
}
