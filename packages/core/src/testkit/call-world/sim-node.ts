import { silentLogger } from '../../base/log.ts';
import { noMetrics } from '../../base/metrics.ts';
import { frameKind } from '../../cluster/frame.ts';
import { FrameBatcher } from '../../cluster/frame-batcher.ts';
import { Inbound } from '../../cluster/inbound.ts';
import { type ShardRecord, shardKey } from '../../cluster/records.ts';
import { ShardTable } from '../../cluster/shard-table.ts';
import { SimCaller } from './callers.ts';
import { type Execution, FakeHost } from './fake-host.ts';
import { WireLink, type Wires } from './wires.ts';

/** One incarnation of a node: the product's inbound side and router around a host that writes down what it executes. */
export class SimNode {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly caller: SimCaller;
  readonly link: WireLink;
  readonly host: FakeHost;
  readonly #table: ShardTable;
  readonly #inbound: Inbound;
  readonly #epochs = new Map<number, number>();
  state: 'alive' | 'frozen' | 'dead' = 'alive';

  constructor(wires: Wires, nodeId: string, generation: number, shards: number, log: Execution[]) {
    const { clock } = wires;
    this.nodeId = nodeId;
    this.incarnation = `${generation}-${nodeId}`;
    this.link = new WireLink(wires, `reply/${this.incarnation}`, [`node/${nodeId}/${this.incarnation}`]);
    this.host = new FakeHost(wires, this.incarnation, log);
    this.caller = new SimCaller(wires, this.incarnation, this.link, shards, () => {}, this.host);
    this.#table = new ShardTable(
      shards,
      ({ record }) => {
        if (record.state !== 'free' && record.incarnation !== this.incarnation) this.caller.routes.learn(record);
      },
      () => {},
    );
    const replies = new FrameBatcher({
      ...{ kind: frameKind.reply, clock, frameBytesMax: this.link.frameBytesMax, frameCountMax: 5 },
      send: (to, frame) => void this.link.send(to, frame, -1),
      mayFlush: () => this.link.up,
    });
    this.#inbound = new Inbound({
      ...{
        clock,
        host: this.host,
        router: this.caller.router,
        replies,
        table: this.#table,
        self: this,
        metrics: noMetrics,
        log: silentLogger,
      },
      epochOf: (shard) => this.#epochs.get(shard),
      answerAsk: () => {},
      onTransfer: () => true,
      onTransferAck: () => true,
    });
    this.link.attach({
      onFrame: (frame, from, via) => this.#inbound.take(frame, from, via),
      onUndeliverable: (token) => this.caller.router.onUndeliverable(token),
      onState: (up) => {
        if (!up) this.caller.router.onLinkDown();
        else {
          this.caller.router.onLinkUp();
          replies.flush();
        }
      },
    });
  }

  /** The epoch under which it serves the shard. */
  epochOf(shard: number): number | undefined {
    return this.state === 'alive' ? this.#epochs.get(shard) : undefined;
  }

  /** The watch shows a record. */
  sees(record: ShardRecord, revision: number): void {
    if (this.state === 'alive') this.#table.onRecord({ key: shardKey(record.shard), value: JSON.stringify(record), revision });
  }

  /** The claim of a shard is answered. */
  open(record: ShardRecord, revision: number): void {
    if (this.state !== 'alive') return;
    const { shard, epoch } = record;
    this.#epochs.set(shard, epoch);
    this.host.openShard(shard);
    this.#inbound.opened(shard, epoch);
    this.caller.routes.learn(record);
    this.sees(record, revision);
  }

  /** A handoff came to nothing: the shard is served on under its old epoch. */
  reopen(shard: number, epoch: number): void {
    if (this.state !== 'alive') return;
    this.#epochs.set(shard, epoch);
    this.host.openShard(shard);
  }

  close(shard: number, closed: () => void): void {
    this.#epochs.delete(shard);
    this.host.closeShard(shard, closed);
  }

  /** `kill`: nobody listens any more. `freeze`: it stays connected and never acts again, as one that wakes up after its eviction. */
  end(how: 'kill' | 'freeze'): void {
    this.state = how === 'kill' ? 'dead' : 'frozen';
    this.host.die();
    this.caller.router.close();
    if (how === 'kill') this.link.kill();
    else this.link.freeze();
  }
}
