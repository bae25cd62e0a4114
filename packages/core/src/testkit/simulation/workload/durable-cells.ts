import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type ActorDefinition, defineActor } from '../../../actor/definition.ts';
import type { SimulatedNode } from '../simulated-node.ts';
import type { StoredTruth } from './stored-truth.ts';
import { type CellContract, type CellOutput, cellMethods } from './cells.ts';
import type { Marks, OperationMark } from './marks.ts';

/** Of a state that is stored there is one life. */
const life = 'stored';

const text: StandardSchemaV1<string, string> = {
  '~standard': { version: 1, vendor: 'perkey', validate: (value) => ({ value: value as string }) },
};

export const JournalCell: CellContract = defineActor('journal', cellMethods);
export const TallyCell: CellContract = defineActor('tally', cellMethods);

/** The types whose effects outlive every process. */
export const durableTypes: readonly string[] = [JournalCell.type, TallyCell.type];

/** What is stored of a tally: who had it count, in this order. */
export interface TallyState {
  readonly rids: readonly string[];
}

interface Turn {
  readonly version: number;
  readonly output: unknown;
}

/** An append-list that is kept by its events, and a counter whose state is kept. */
export function durableCells(node: SimulatedNode, truth: StoredTruth, marks: Marks): readonly ActorDefinition[] {
  const told = ({ version, output }: Turn, epoch: number): CellOutput => ({ output, life, version, epoch, by: node.incarnation });
  return [
    JournalCell.aggregate({
      initial: (): readonly string[] => [],
      events: { Appended: text },
      evolve: { Appended: (list, rid) => [...list, rid] },
      snapshotEvery: 8,
      passivateAfterMs: 5_000,
      commands: {
        change: (ctx, { rid }) => {
          truth.turnStarts(node, 'journal', ctx.key, ctx.version);
          return timely(node, marks.of(rid), () => {
            ctx.raise('Appended', rid);
            return told({ version: ctx.version, output: ctx.state.length }, ctx.epoch);
          });
        },
      },
      queries: {
        look: (ctx) => {
          truth.turnStarts(node, 'journal', ctx.key, ctx.version);
          return told({ version: ctx.version, output: ctx.state }, ctx.epoch);
        },
      },
    }),
    TallyCell.host({
      persist: 'state',
      passivateAfterMs: 5_000,
      state: (): { rids: string[] } => ({ rids: [] }),
      change: (ctx, { rid }) => {
        truth.turnStarts(node, 'tally', ctx.key, ctx.state.rids.length);
        return timely(node, marks.of(rid), () => {
          const version = ctx.state.rids.push(rid);
          return told({ version, output: version }, ctx.epoch);
        });
      },
      look: (ctx) => {
        const { length } = ctx.state.rids;
        truth.turnStarts(node, 'tally', ctx.key, length);
        return told({ version: length, output: length }, ctx.epoch);
      },
    }),
  ];
}

/** Has its effect before or after its wait, or at once. */
function timely(node: SimulatedNode, mark: OperationMark, effect: () => CellOutput): CellOutput | Promise<CellOutput> {
  if (mark.takesMs === 0) return effect();
  if (!mark.effectFirst) return node.sleep(mark.takesMs).then(effect);
  const output = effect();
  return node.sleep(mark.takesMs).then(() => output);
}
