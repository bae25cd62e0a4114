import type { TurnMiddleware } from '../../actor/middleware.ts';
import { isDurable } from '../../cluster/node-store.ts';
import { type Node, startNode } from '../../cluster/node.ts';
import { MetricsRegistry } from '../../base/metrics-registry.ts';
import type { ClientRole, NodeRole } from '../../contract/transport.ts';
import { ProcessStore } from './process-store.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { simulatedCluster, type Surroundings } from './surroundings.ts';
import type { VirtualClock } from '../virtual-clock.ts';

/** Who looks over the shoulder of nodes. */
export interface NodeWitness {
  turnStarts(node: SimulatedNode, key: string): void;
  frameSent(incarnation: string, frame: Uint8Array): void;
}

type NodeState = 'down' | 'starting' | 'up' | 'leaving';

/** After so long a supervisor starts a node again that could not start. */
const restartMs = 500;

/** A node of the simulated world, with all its lives. */
export class SimulatedNode extends SimulatedProcess {
  readonly #witness: NodeWitness;
  readonly #onUp: (node: SimulatedNode) => void;
  #state: NodeState = 'down';
  #node: Node | undefined;
  #incarnation = '';
  /** When its machine was last suspended, by true time. */
  suspendedAtMs: number = Number.NEGATIVE_INFINITY;

  constructor(name: string, around: Surroundings, witness: NodeWitness, onUp: (node: SimulatedNode) => void) {
    super(name, around);
    this.#witness = witness;
    this.#onUp = onUp;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** The running node; `undefined` while it is down or starts. */
  get node(): Node | undefined {
    return this.#node;
  }

  /** Of the incarnation that joined last. */
  get incarnation(): string {
    return this.#incarnation;
  }

  start(): void {
    if (this.#state !== 'down') return;
    this.#state = 'starting';
    void this.#start(this.begin());
  }

  /** As `kill -9` does. */
  crash(): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#node = undefined;
    this.around.note(this.name, 'is dead');
    this.clock.kill();
    this.faults.crash();
  }

  /** Leaves as planned. */
  leave(): void {
    const node = this.#node;
    if (this.#state !== 'up' || node === undefined) return;
    this.#state = 'leaving';
    const { lives, clock } = this;
    const ended = (): void => {
      if (this.lives !== lives || this.#state !== 'leaving') return;
      this.around.note(this.name, 'has left');
      this.#state = 'down';
      this.#node = undefined;
      clock.kill();
    };
    void node.stop().then(ended, (error: unknown) => this.around.fail(`${this.name} could not stop: ${String(error)}`));
  }

  async #start(clock: VirtualClock): Promise<void> {
    const { lives } = this;
    const { wires } = this.around;
    try {
      const node = await startNode({ ...this.#options(clock) });
      if (this.lives !== lives || this.#state !== 'starting') return;
      this.#node = node;
      this.#state = 'up';
      this.around.note(this.name, `is up as ${node.incarnation}`);
      this.#onUp(this);
    } catch (error) {
      if (this.lives !== lives || this.#state !== 'starting') return;
      this.around.note(this.name, `could not start: ${String(error)}`);
      this.crash();
      wires.setTimer(restartMs, () => this.start());
    }
  }

  #options(clock: VirtualClock): Parameters<typeof startNode>[0] {
    const { actors, settings, shards } = this.around.options;
    const hosted = typeof actors === 'function' ? actors(this) : actors;
    const middleware: TurnMiddleware = (call, next) => {
      this.#witness.turnStarts(this, call.key);
      return next();
    };
    return {
      ...settings,
      ...{ cluster: simulatedCluster, nodeId: this.name, shards, clock, random: this.random, env: {} },
      actors: hosted,
      ...(hosted.some(isDurable) && { store: this.#store(clock) }),
      transport: this.transport((role, frame) => this.#sent(role, frame)),
      log: this.logger(),
      metrics: new MetricsRegistry(),
      middleware: [middleware],
      onIncarnation: (_nodeId, incarnation) => {
        this.#incarnation = incarnation;
      },
    };
  }

  #store(process: VirtualClock): ProcessStore {
    const { store, wires } = this.around;
    const random = this.around.randomFor(`${this.name} store ${this.lives}`);
    return new ProcessStore({ inner: store, clock: wires, process, latencyMs: () => 0.1 + random.next() * random.next() * 2 });
  }

  #sent(role: NodeRole | ClientRole, frame: Uint8Array): void {
    if (role.kind === 'node') this.#witness.frameSent(role.incarnation, frame);
  }
}
