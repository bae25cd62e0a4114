import type { PlacementMember } from '@perkey/core/internal';
import { placers, type Placer, type Table } from './placement-peers.ts';

interface Size {
  readonly nodes: number;
  readonly shards: number;
}

interface Row extends Size {
  readonly name: string;
  /** Shards of the fullest member minus those of the emptiest. */
  readonly spread: number;
  readonly max_per_mean: number;
  /** Shards that moved, divided by those that had to: the leaver's own, or the newcomer's. Null where that is none. */
  readonly leave_ratio: number | null;
  readonly join_ratio: number | null;
  /** Shards that moved without need, in percent of all. */
  readonly leave_extra_pct: number;
  readonly join_extra_pct: number;
  /** Median time from the list of members to the whole table. */
  readonly ms: number;
}

interface WeightedRow extends Size {
  readonly name: string;
  /** The greatest difference between what a member owns and its exact share by weight, in shards. */
  readonly share_error_max: number;
  readonly ms: number;
}

export interface PlacementResult {
  readonly rows: readonly Row[];
  readonly weighted: readonly WeightedRow[];
}

const fullSizes = {
  nodes: [16, 64, 256, 1000],
  shards: [64, 256, 1024, 4096, 16_384],
  trials: 12,
  budgetMs: 200,
  pairsMax: Infinity,
} as const;
const quickSizes = { nodes: [16, 1000], shards: [64, 256, 16_384], trials: 2, budgetMs: 10, pairsMax: 20_000 } as const;

function members(count: number, weightOf: (i: number) => number = () => 1): PlacementMember[] {
  return Array.from({ length: count }, (_, i) => ({ id: `node-${i}`, weight: weightOf(i) }));
}

function loadsOf(table: Table, count: number): number[] {
  const loads = new Array<number>(count).fill(0);
  for (const owner of table) loads[owner]! += 1;
  return loads;
}

/** Calls until the budget is spent, twenty times at most; the median in ms. The first call, which compiles, counts only if it is the only one. */
function timed(budgetMs: number, run: () => void): number {
  const times: number[] = [];
  const start = performance.now();
  do {
    const before = performance.now();
    run();
    times.push(performance.now() - before);
  } while (performance.now() - start < budgetMs && times.length < 20);
  const warm = (times.length > 1 ? times.slice(1) : times).sort((a, b) => a - b);
  return warm[Math.floor(warm.length / 2)] ?? 0;
}

/** How many shards have another owner; `renumbered` gives the index in the second list of a member of the first. */
function movedBetween(before: Table, after: Table, renumbered: (owner: number) => number): number {
  let moved = 0;
  for (const [shard, owner] of before.entries()) if (renumbered(owner) !== after[shard]) moved += 1;
  return moved;
}

interface Movement {
  readonly moved: number;
  readonly least: number;
}

/** Sums over some members, taken evenly from the list, that leave one at a time. */
function leaves(placer: Placer, { nodes, shards }: Size, trials: number): Movement {
  const all = members(nodes);
  const before = placer.place(all, shards);
  const loads = loadsOf(before, nodes);
  let moved = 0;
  let least = 0;
  for (let trial = 0; trial < trials; trial += 1) {
    const leaver = Math.floor(((trial + 0.5) * nodes) / trials);
    const after = placer.place(all.toSpliced(leaver, 1), shards);
    moved += movedBetween(before, after, (owner) => (owner === leaver ? -1 : owner > leaver ? owner - 1 : owner));
    least += loads[leaver]!;
  }
  return { moved, least };
}

/** Sums over some newcomers, each of which joins alone. */
function joins(placer: Placer, { nodes, shards }: Size, trials: number): Movement {
  const all = members(nodes);
  const before = placer.place(all, shards);
  let moved = 0;
  let least = 0;
  for (let trial = 0; trial < trials; trial += 1) {
    const after = placer.place([...all, { id: `new-${trial}`, weight: 1 }], shards);
    moved += movedBetween(before, after, (owner) => owner);
    least += loadsOf(after, nodes + 1)[nodes]!;
  }
  return { moved, least };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function measure(placer: Placer, size: Size, { trials, budgetMs }: { readonly trials: number; readonly budgetMs: number }): Row {
  const { nodes, shards } = size;
  const all = members(nodes);
  const loads = loadsOf(placer.place(all, shards), nodes);
  // What is slow is asked less often.
  const ms = timed(budgetMs, () => (placer.timed ?? placer.place)(all, shards));
  const few = Math.max(1, Math.min(trials, nodes, Math.floor((budgetMs * 4) / ms)));
  const leave = leaves(placer, size, few);
  const join = joins(placer, size, few);
  const ratio = ({ moved, least }: Movement): number | null => (least === 0 ? null : round(moved / least, 3));
  const extra = ({ moved, least }: Movement): number => round((100 * (moved - least)) / few / shards, 2);
  return {
    name: placer.name,
    nodes,
    shards,
    spread: Math.max(...loads) - Math.min(...loads),
    max_per_mean: round((Math.max(...loads) * nodes) / shards, 3),
    leave_ratio: ratio(leave),
    join_ratio: ratio(join),
    leave_extra_pct: extra(leave),
    join_extra_pct: extra(join),
    ms: round(ms, 4),
  };
}

function measureWeighted(placer: Placer, { nodes, shards }: Size, budgetMs: number): WeightedRow {
  const all = members(nodes, (i) => [1, 2, 4, 0.7][i % 4]!);
  const total = all.reduce((sum, { weight }) => sum + weight, 0);
  const loads = loadsOf(placer.place(all, shards), nodes);
  const errors = all.map(({ weight }, i) => Math.abs(loads[i]! - (shards * weight) / total));
  const ms = timed(budgetMs, () => (placer.timed ?? placer.place)(all, shards));
  return { name: placer.name, nodes, shards, share_error_max: round(Math.max(...errors), 3), ms: round(ms, 4) };
}

function print(result: PlacementResult): void {
  const line = (cells: readonly (string | number | null)[]): void =>
    console.log(cells.map((cell, i) => (i === 0 ? String(cell).padEnd(12) : String(cell ?? '-').padStart(11))).join(' '));
  console.log('equal weights: balance; movement as a multiple of the least, and beyond it in % of all shards; time for the whole table');
  line(['', 'nodes', 'shards', 'max-min', 'max/mean', 'leave', 'join', 'leave +%', 'join +%', 'ms']);
  for (const row of result.rows) {
    const { name, nodes, shards, spread, max_per_mean, leave_ratio, join_ratio, leave_extra_pct, join_extra_pct, ms } = row;
    line([name, nodes, shards, spread, max_per_mean, leave_ratio, join_ratio, leave_extra_pct, join_extra_pct, ms]);
  }
  console.log('\nweights 1, 2, 4, 0.7: greatest difference from the exact share, in shards');
  line(['', 'nodes', 'shards', 'error', 'ms']);
  for (const { name, nodes, shards, share_error_max, ms } of result.weighted) line([name, nodes, shards, share_error_max, ms]);
}

/** Balance, movement and time of the placement, beside other ways to place. Sizes that a peer is too slow for are left out of its rows. */
export async function placement(options: { readonly json: boolean; readonly quick: boolean }): Promise<PlacementResult> {
  const settings = options.quick ? quickSizes : fullSizes;
  const rows: Row[] = [];
  const weighted: WeightedRow[] = [];
  for (const nodes of settings.nodes) {
    for (const shards of settings.shards) {
      const pairs = nodes * shards;
      const fitting = placers.filter(
        ({ pairsMax, membersMax }) => nodes <= membersMax && (pairsMax === Infinity || pairs <= Math.min(pairsMax, settings.pairsMax)),
      );
      for (const placer of fitting) {
        rows.push(measure(placer, { nodes, shards }, settings));
        if (placer.weighted) weighted.push(measureWeighted(placer, { nodes, shards }, settings.budgetMs));
      }
    }
  }
  const result = { rows, weighted };
  if (!options.json) print(result);
  return result;
}
