import type { Caller } from '../../../contract/calls.ts';
import { HistoryRecorder } from '../../history/recorder.ts';
import type { SimulationBody } from '../simulate.ts';
import type { SimulatedNode } from '../simulated-node.ts';
import type { SimulationActors, Surroundings } from '../surroundings.ts';
import type { SimulationWorld } from '../world.ts';
import { WorkloadCaller, type WorkloadTimes } from './callers.ts';
import { cellActors } from './cells.ts';
import { auditStore } from './durable-audit.ts';
import { durableCells } from './durable-cells.ts';
import { judgeHistory } from './judge-history.ts';
import { Ledger } from './ledger.ts';
import { Marks } from './marks.ts';
import { StoredTruth } from './stored-truth.ts';

export interface WorkloadOptions extends Partial<WorkloadTimes> {
  /** Told at the end of each run that did not fail. */
  readonly onFigures?: (figures: WorkloadFigures) => void;
}

export interface WorkloadFigures {
  readonly ok: number;
  readonly refused: number;
  readonly unknown: number;
  /** Of turns of actors in memory. */
  readonly executions: number;
  /** Effects in the store. */
  readonly stored: number;
  /** States that died with their process. */
  readonly deaths: number;
}

/** Who looks on in one world. */
interface Witnesses {
  readonly ledger: Ledger;
  readonly truth: StoredTruth;
  readonly marks: Marks;
}

export interface Workload {
  readonly actors: SimulationActors;
  readonly body: SimulationBody;
}

/**
 * Counters, registers and append-lists over many keys, asked for by every client and from within every node, with and without idempotency keys,
 * fast turns and slow ones, bursts, and calls through chains of other actors; judged by a ledger of what handlers did and by the checker of histories.
 * Beside those in memory there are lists that are kept by their events and counters whose state is kept: what was told of them has to be in the
 * store, whatever died.
 */
export function standardWorkload(options: WorkloadOptions = {}): Workload {
  const witnesses = new WeakMap<Surroundings, Witnesses>();
  const witnessesOf = (around: Surroundings): Witnesses => {
    let ofWorld = witnesses.get(around);
    if (ofWorld === undefined) witnesses.set(around, (ofWorld = { ledger: new Ledger(), truth: new StoredTruth(), marks: new Marks() }));
    return ofWorld;
  };
  return {
    actors: (node) => {
      const { ledger, truth, marks } = witnessesOf(node.around);
      return [...cellActors(node, ledger, marks), ...durableCells(node, truth, marks)];
    },
    body: (world) => drive(world, witnessesOf(world.around), options),
  };
}

function drive(world: SimulationWorld, { ledger, truth, marks }: Witnesses, options: WorkloadOptions): void {
  const { everyMs = 2_000, keys = 12, onFigures } = options;
  const times = { everyMs, keys };
  const { wires } = world.around;
  const recorder = new HistoryRecorder({ clock: { now: () => wires.trueMs } });
  const callers: WorkloadCaller[] = [];
  ledger.open(world);
  truth.open(world);
  for (const process of world.clients) {
    const caller = new WorkloadCaller({ world, ledger, marks, recorder, process, name: process.name, times, caller: () => process.client });
    callers.push(caller);
    world.spawn(() => caller.run());
  }
  world.onNode(async (node) => {
    const { lives } = node;
    const isAlive = (): boolean => node.lives === lives && node.state === 'up';
    const name = `${node.name}/${lives}`;
    const caller = new WorkloadCaller({ world, ledger, marks, recorder, process: node, name, times, caller: () => callerOf(node) });
    callers.push(caller);
    await caller.run(isAlive);
  });
  world.atEnd(async () => {
    const looks = [...new Set(recorder.operations.map(({ key }) => key))];
    await Promise.all(
      callers.slice(0, world.clients.length).map((caller, i) =>
        lookAtAll(
          caller,
          looks.filter((_, at) => at % world.clients.length === i),
        ),
      ),
    );
    const stored = await auditStore(world);
    judgeHistory(world, ledger, { operations: recorder.operations, events: stored });
    const sum = (of: (caller: WorkloadCaller) => number): number => callers.reduce((total, caller) => total + of(caller), 0);
    const { executions, deaths } = ledger;
    onFigures?.({
      ok: sum(({ ok }) => ok),
      refused: sum(({ refused }) => refused),
      unknown: sum((one) => one.unknown),
      executions,
      stored: stored.length,
      deaths,
    });
  });
}

/** The node itself, while it takes calls. */
function callerOf({ node }: SimulatedNode): Caller | undefined {
  return node?.state === 'active' ? node : undefined;
}

async function lookAtAll(caller: WorkloadCaller, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const [type = '', key = ''] = address.split('/');
    await caller.lastLook(type, key);
  }
}
