import { seededRandom } from '../../base/random.ts';
import type { ShardRecord } from '../../cluster/records.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { SimCaller } from './callers.ts';
import type { Execution } from './fake-host.ts';
import { SimNode } from './sim-node.ts';
import { WireLink, Wires } from './wires.ts';

export interface CallWorldOptions {
  readonly seed: number;
  readonly shards?: number;
  readonly nodes?: number;
  readonly clients?: number;
  /** How often a handoff comes to nothing. Default 0.1. */
  readonly handoffFails?: number;
  /** Nobody cancels a call or is short of time. */
  readonly patient?: boolean;
}

/** Several callers and several nodes, among which shards move and which break in every way, by a seed. */
export class CallWorld {
  readonly clock: VirtualClock = new VirtualClock();
  readonly wires: Wires;
  readonly log: Execution[] = [];
  readonly clients: SimCaller[] = [];
  readonly nodes: SimNode[] = [];
  readonly #links: WireLink[] = [];
  readonly #records: ShardRecord[] = [];
  readonly #moving = new Set<number>();
  readonly #evicted = new Set<SimNode>();
  readonly #shards: number;
  readonly #handoffFails: number;
  #revision = 0;
  #generation = 0;

  constructor({ seed, shards = 4, nodes = 3, clients = 3, handoffFails = 0.1, patient = false }: CallWorldOptions) {
    this.#shards = shards;
    this.#handoffFails = handoffFails;
    this.wires = new Wires(this.clock, seededRandom(seed), patient);
    for (let i = 0; i < nodes; i += 1) this.#startNode(`n${i}`);
    for (let i = 0; i < clients; i += 1) this.#startClient(`c${i}`);
    for (let shard = 0; shard < shards; shard += 1) this.#claim(shard, this.nodes[shard % nodes]!);
  }

  get callers(): readonly SimCaller[] {
    return [...this.clients, ...this.nodes.map(({ caller }) => caller)];
  }

  /** Calls and faults for `ms`, then peace until everything must have ended. */
  async run(ms: number, faults: boolean): Promise<void> {
    const until = this.clock.now() + ms;
    while (this.clock.now() < until) {
      for (const caller of this.callers) if (this.wires.chance(0.5)) this.#burst(caller);
      if (faults && this.wires.chance(0.2)) this.#fault();
      else if (this.wires.chance(0.15)) this.#move();
      await this.clock.advance(this.wires.upTo(6));
    }
    await this.clock.advance(1_500);
  }

  #burst(caller: SimCaller): void {
    const node = this.nodes.find((one) => one.caller === caller);
    if (node && node.state !== 'alive') return;
    const count = 1 + Math.floor(this.wires.upTo(5));
    for (let i = 0; i < count; i += 1) caller.call(`k${Math.floor(this.wires.upTo(10))}`);
  }

  #fault(): void {
    const { wires } = this;
    const dice = wires.random.next();
    const node = this.#living()[Math.floor(wires.upTo(this.#living().length))];
    if (dice < 0.4) this.#links[Math.floor(wires.upTo(this.#links.length))]?.breakFor(1 + wires.upTo(40));
    else if (dice < 0.85) node?.link.breakFor(1 + wires.upTo(40));
    else if (node && this.#living().length > 1) this.#end(node, wires.chance(0.5) ? 'kill' : 'freeze');
  }

  #living(): SimNode[] {
    return this.nodes.filter((node) => node.state === 'alive');
  }

  #startNode(nodeId: string): void {
    this.#generation += 1;
    const node = new SimNode(this.wires, nodeId, this.#generation, this.#shards, this.log);
    this.nodes.push(node);
    for (const record of this.#records) node.sees(record, this.#revision);
  }

  #startClient(name: string): void {
    const link = new WireLink(this.wires, `reply/${name}`);
    const client: SimCaller = new SimCaller(this.wires, name, link, this.#shards, () => this.#later(20, () => this.#tellAll(client)));
    link.attach({
      onFrame: (frame) => client.takeReplies(frame),
      onUndeliverable: (token) => client.router.onUndeliverable(token),
      onState: (up) => (up ? client.router.onLinkUp() : client.router.onLinkDown()),
    });
    this.#links.push(link);
    this.clients.push(client);
  }

  #later(ms: number, run: () => void): void {
    this.clock.setTimer(this.wires.upTo(ms), run);
  }

  /** A client asked, and may be answered. */
  #tellAll(client: SimCaller): void {
    if (this.wires.chance(0.2)) return;
    for (const record of this.#records) client.routes.learn(record);
    this.#tellGone(client);
  }

  /** The store grants the shard to the node; everybody hears of it sooner or later, the node itself not always first. */
  #claim(shard: number, node: SimNode): void {
    const before = this.#records[shard];
    const record: ShardRecord = {
      ...{ nodeId: node.nodeId, incarnation: node.incarnation, shard, state: 'owned', epoch: (before?.epoch ?? 0) + 1 },
    };
    this.#records[shard] = record;
    this.#revision += 1;
    const revision = this.#revision;
    for (const one of this.nodes) this.#later(15, () => one.sees(record, revision));
    this.#later(15, () => {
      node.open(record, revision);
      for (const client of this.clients) {
        if (this.wires.chance(0.8)) this.#later(10, () => client.routes.learn(record));
        if (before) this.#later(10, () => this.#tellGone(client));
      }
    });
  }

  #tellGone(caller: SimCaller): void {
    for (const node of this.#evicted) caller.routes.markGone(node);
  }

  #move(): void {
    const shard = Math.floor(this.wires.upTo(this.#shards));
    const record = this.#records[shard]!;
    const owner = this.nodes.find(({ incarnation }) => incarnation === record.incarnation);
    const others = this.#living().filter((node) => node !== owner);
    const next = others[Math.floor(this.wires.upTo(others.length))];
    if (owner?.epochOf(shard) !== record.epoch || !next || this.#moving.has(shard)) return;
    this.#moving.add(shard);
    owner.close(shard, () => {
      this.#moving.delete(shard);
      if (owner.state !== 'alive') return;
      if (this.wires.chance(this.#handoffFails) || next.state !== 'alive') owner.reopen(shard, record.epoch);
      else this.#claim(shard, next);
    });
  }

  #end(node: SimNode, how: 'kill' | 'freeze'): void {
    node.end(how);
    this.#later(80, () => {
      this.#evicted.add(node);
      for (const one of this.#living()) this.#later(15, () => this.#tellGone(one.caller));
      for (const [shard, record] of this.#records.entries()) {
        if (record.incarnation !== node.incarnation) continue;
        this.#moving.delete(shard);
        const next = this.#living()[Math.floor(this.wires.upTo(this.#living().length))];
        if (next) this.#claim(shard, next);
      }
      this.#later(50, () => this.#startNode(node.nodeId));
    });
  }
}
