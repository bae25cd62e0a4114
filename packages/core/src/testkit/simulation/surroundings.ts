import type { ActorDefinition } from '../../actor/definition.ts';
import type { GivenOptions } from '../../base/options.ts';
import { type Random, seededRandom } from '../../base/random.ts';
import { fnv1a, mix32 } from '../../base/hash.ts';
import type { nodeOptions } from '../../cluster/settings.ts';
import type { Address } from '../../contract/transport.ts';
import { MemoryHub } from '../../memory/memory-hub.ts';
import { memoryStore } from '../../memory/memory-store.ts';
import type { ProcessFaults } from '../faults/process-faults.ts';
import { RecordHistory } from '../faults/record-history.ts';
import { FaultyStore } from '../faulty-store.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { Trace, type TraceEntry } from './trace.ts';

export const simulatedCluster = 'simulated';

export type SimulationActors = readonly ActorDefinition[] | ((node: SimulatedNode) => readonly ActorDefinition[]);

export type SimulatedSettings = Omit<GivenOptions<typeof nodeOptions>, 'nodeId' | 'cluster' | 'shards'>;

export interface SurroundingsOptions {
  readonly seed: number;
  readonly shards: number;
  readonly actors: SimulationActors;
  readonly settings: SimulatedSettings;
  /** Clocks of processes differ by up to 1 % where this is set. */
  readonly clocksDiffer: boolean;
  readonly told: ((entry: TraceEntry) => void) | undefined;
}

/** What all processes of one simulated world share. */
export class Surroundings {
  readonly options: SurroundingsOptions;
  readonly wires: VirtualClock = new VirtualClock();
  readonly hub: MemoryHub = new MemoryHub();
  readonly history: RecordHistory = new RecordHistory();
  /** Of the durable actors; it outlives every process. */
  readonly store: FaultyStore = new FaultyStore(memoryStore(), { clock: this.wires });
  readonly owners: Map<Address, ProcessFaults> = new Map();
  readonly trace: Trace;
  #failure: Error | undefined;

  constructor(options: SurroundingsOptions) {
    this.options = options;
    this.trace = new Trace(options.told);
  }

  /** The first thing that did not hold. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Keeps the first one only, and never throws: who finds something may stand in the midst of the runtime. */
  fail(what: string | Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = typeof what === 'string' ? new Error(what) : what;
    this.note('world', `FAILED: ${this.#failure.message}`);
  }

  note(who: string, what: string): void {
    this.trace.note(this.wires.trueMs, who, what);
  }

  /** A source of its own for each purpose, so that one fault less changes nothing else by itself. */
  randomFor(purpose: string): Random {
    return seededRandom(mix32(fnv1a(`${this.options.seed} ${purpose}`)));
  }
}
