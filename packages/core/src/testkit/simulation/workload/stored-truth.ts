import { Decoder } from '../../../base/decoder.ts';
import { commitLimits } from '../../../events/commit.ts';
import { CommitReader } from '../../../events/commit-reader.ts';
import type { AppliedAppend } from '../../faulty-store.ts';
import type { SimulatedNode } from '../simulated-node.ts';
import type { SimulationWorld } from '../world.ts';
import type { TallyState } from './durable-cells.ts';

interface LastAppend {
  readonly applied: AppliedAppend;
  /** Read when it is needed for the first time. */
  effects: number | undefined;
}

/**
 * Knows what the store holds at the very moment. A turn of a durable actor at the owner of its shard begins on exactly that: what was acknowledged
 * is in it, what is in doubt was found out, and nothing of a former owner can be stored any more (I18).
 */
export class StoredTruth {
  #world: SimulationWorld | undefined;
  readonly #last = new Map<string, LastAppend>();
  readonly #reader = new StoredReader();
  #seen = 0;

  /** To be called before the first turn. */
  open(world: SimulationWorld): void {
    this.#world = world;
  }

  /** `effects`: how many the state in memory has. */
  turnStarts(node: SimulatedNode, type: string, key: string, effects: number): void {
    const world = this.#world;
    // A first record that is late may come after a turn on nothing: what does not exist has no fence.
    if (world === undefined || effects === 0) return;
    const { oracle } = world;
    const { incarnation } = node;
    if (oracle.wasSetBack || oracle.isGone(incarnation) || !oracle.owns(oracle.shardOf(key), incarnation)) return;
    const stored = this.#effectsOf(world, `${type}/${key}`);
    if (stored === effects) return;
    world.fail(`I18: ${node.name} begins a turn of ${type}/${key} on ${effects} effects, and the store holds ${stored}`);
  }

  #effectsOf({ around }: SimulationWorld, address: string): number {
    const { history } = around.store;
    for (; this.#seen < history.length; this.#seen += 1) {
      const applied = history[this.#seen] as AppliedAppend;
      this.#last.set(`${applied.stream.type}/${applied.stream.key}`, { applied, effects: undefined });
    }
    const last = this.#last.get(address);
    return last === undefined ? 0 : (last.effects ??= this.#reader.effectsIn(last.applied));
  }
}

/** Reads what the store holds. The same texts come again and again, which its decoder remembers. */
export class StoredReader {
  readonly commits: CommitReader = new CommitReader();
  readonly #decoder = new Decoder(commitLimits);

  tallyIn(state: Uint8Array): TallyState {
    return this.#decoder.only(state, 0, state.length) as TallyState;
  }

  effectsIn(record: AppliedAppend): number {
    const commit = this.commits.read(record);
    return record.log === 'events' ? commit.version : this.tallyIn(commit.state().state as Uint8Array).rids.length;
  }
}
