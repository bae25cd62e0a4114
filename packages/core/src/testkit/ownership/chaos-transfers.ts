import { PerkeyError } from '../../base/errors.ts';
import type { CarriedActor } from '../../contract/calls.ts';
import { encodeActor, type TransferPart, TransferReceiver } from '../../cluster/handoff.ts';
import type { Incarnated } from '../../cluster/records.ts';
import type { ShardTransfers } from '../../cluster/shard-host.ts';
import type { Cable, Weather } from './chaos-store.ts';

const timeoutMs = 1_000;

/** Where the incarnations that live take transfers. */
export class TransferNet {
  readonly weather: Weather;
  readonly #receivers = new Map<string, { readonly cable: Cable; readonly receiver: TransferReceiver }>();

  constructor(weather: Weather) {
    this.weather = weather;
  }

  listen(incarnation: string, cable: Cable, receiver: TransferReceiver): void {
    this.#receivers.set(incarnation, { cable, receiver });
  }

  hangUp(incarnation: string): void {
    this.#receivers.delete(incarnation);
  }

  /** Delivers to whoever has that address when it arrives. */
  deliver(to: string, part: TransferPart, onAck: (accepted: boolean) => void): void {
    const { cable, receiver } = this.#receivers.get(to) ?? {};
    if (!cable || !receiver || cable.isDeaf) return;
    cable.clock.defer(() => {
      if (!this.#receivers.has(to)) return;
      const ack = receiver.receive(part);
      if (!cable.isMute) onAck(ack.accepted);
    });
  }
}

/** The transfers of one incarnation: each may be lost, late, repeated, or arrive without its acknowledgement. */
export class ChaosTransfers implements ShardTransfers {
  readonly #net: TransferNet;
  readonly #self: Incarnated;
  readonly #cable: Cable;
  readonly #receiver: TransferReceiver;

  constructor(net: TransferNet, self: Incarnated, cable: Cable, receiver: TransferReceiver) {
    this.#net = net;
    this.#self = self;
    this.#cable = cable;
    this.#receiver = receiver;
  }

  take(transfer: string): readonly CarriedActor[] | undefined {
    return this.#receiver.take(transfer);
  }

  send(to: Incarnated, shard: number, transfer: string, actors: readonly CarriedActor[], epoch: number): Promise<boolean> {
    if (actors.length === 0) return Promise.resolve(false);
    const encoded = actors.map((actor) => encodeActor(actor));
    const { wires, random, faults } = this.#net.weather;
    const cable = this.#cable;
    // Two parts, so that one may be missing.
    const parts: TransferPart[] = [[], encoded].map((some, part) => ({
      ...{ transfer, shard, part, last: part === 1, from: this.#self, epoch, actors: some, more: false },
    }));
    return new Promise((resolve, reject) => {
      wires.setTimer(timeoutMs, () => cable.clock.defer(() => reject(new PerkeyError('node.unreachable', 'no acknowledgement'))));
      const sendPart = (at: number): void => {
        const part = parts[at];
        if (!part) {
          resolve(true);
          return;
        }
        const acked = (accepted: boolean): void => {
          if (random.next() < faults) return;
          cable.clock.defer(() => (accepted ? sendPart(at + 1) : reject(new PerkeyError('node.unreachable', 'refused'))));
        };
        if (cable.isMute || random.next() < faults / 2) return;
        if (random.next() < faults) wires.setTimer(random.next() * 3_000, () => this.#net.deliver(to.incarnation, part, () => {}));
        if (random.next() < faults) wires.setTimer(random.next() * 2_000, () => this.#net.deliver(to.incarnation, part, acked));
        else this.#net.deliver(to.incarnation, part, acked);
      };
      sendPart(0);
    });
  }
}
