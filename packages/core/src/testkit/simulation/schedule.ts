import type { Random } from '../../base/random.ts';
import { appendFaults } from '../faults/commit-faults.ts';
import { type Fault, type FaultFamily, type FaultKind, familyOf } from './fault.ts';

export interface ScheduleOptions {
  readonly random: Random;
  readonly kinds: readonly FaultKind[];
  readonly nodes: readonly string[];
  readonly clients: readonly string[];
  readonly minutes: number;
  /** Mean virtual time between two faults. */
  readonly everyMs: number;
}

/** Of each minute: until when faults begin, and when the last of them is over. Then everything has to come to rest. */
const stormEndsMs = 38_000;
export const faultsEndMs = 42_000;
/** Until when records are set back: nodes need 20 s to be sure of it. */
const rollbackEndsMs = 25_000;
const minuteMs = 60_000;

/** Faults from chance: for each minute a time with faults, then one without. */
export function drawSchedule(options: ScheduleOptions): readonly Fault[] {
  const schedule: Fault[] = [];
  for (let minute = 0; minute < options.minutes; minute += 1) drawMinute(options, minute * minuteMs, schedule);
  return schedule;
}

function drawMinute(options: ScheduleOptions, startMs: number, schedule: Fault[]): void {
  const { random, everyMs, kinds } = options;
  const busy = new Map<string, number>();
  const lengthMs = Math.min(1, options.minutes - startMs / minuteMs) * minuteMs;
  const scale = lengthMs / minuteMs;
  const draw = new FaultDraw(options);
  for (let atMs = random.next() * everyMs; atMs < stormEndsMs * scale; atMs += -Math.log(1 - random.next()) * everyMs) {
    const kind = kinds[Math.floor(random.next() * kinds.length)] as FaultKind;
    if (kind === 'rollback' && atMs > rollbackEndsMs * scale) continue;
    const fault = draw.one(kind, startMs + atMs, startMs + faultsEndMs * scale);
    const slots = slotsOf(fault);
    if (slots.some((slot) => (busy.get(slot) ?? 0) > fault.atMs)) continue;
    // After records were set back once, all has to come to rest before they are set back again.
    const endsMs = kind === 'rollback' ? Infinity : fault.atMs + fault.forMs;
    for (const slot of slots) busy.set(slot, endsMs);
    schedule.push(fault);
  }
}

function slotsOf({ kind, target = '', other }: Fault): string[] {
  const family: FaultFamily = familyOf[kind];
  const slots = [`${family} ${target}`];
  if (other !== undefined) slots.push(`${family} ${other}`);
  // A process that is stopped on purpose is not stopped twice.
  if (kind === 'suspend' || kind === 'crash') slots.push(`${kind === 'crash' ? 'clock' : 'life'} ${target}`);
  if (kind === 'late-append') slots.push(`clock ${target}`, `log ${target}`);
  return slots;
}

/** Draws the particulars of a fault. */
class FaultDraw {
  readonly #o: ScheduleOptions;

  constructor(options: ScheduleOptions) {
    this.#o = options;
  }

  one(kind: FaultKind, atMs: number, endMs: number): Fault {
    const forMs = Math.max(1, Math.min(this.#duration(kind), endMs - atMs));
    const base = { atMs: Math.round(atMs * 8) / 8, kind, forMs: Math.round(forMs) };
    return { ...base, ...this.#particulars(kind) };
  }

  #duration(kind: FaultKind): number {
    if (kind === 'wall-jump' || kind === 'rollback' || kind === 'doubtful-writes') return 1;
    if (kind === 'late-append') return this.#between(8_000, 13_000);
    if (kind === 'late-proof') return this.#between(4_000, 6_000);
    if (kind === 'storm') return this.#between(4_000, 15_000);
    if (kind === 'clock-rate') return this.#between(5_000, 30_000);
    if (kind === 'lose-link') return this.#between(1, 400);
    // Long and short ones are as likely: what is at stake changes at the length of a lease.
    return 50 * 2 ** (this.#o.random.next() * 7.5);
  }

  #particulars(kind: FaultKind): Partial<Fault> {
    const { random } = this.#o;
    switch (kind) {
      case 'no-leader':
      case 'storm':
        return {};
      case 'rollback':
        return { amount: Math.round(this.#between(500, 20_000)), variant: this.#one(['both', 'members', 'shards']) };
      case 'crash':
      case 'drain':
      case 'suspend':
        return { target: this.#one(this.#o.nodes) };
      case 'pause':
        return { target: this.#anyone() };
      case 'cut':
      case 'cut-in':
      case 'cut-out': {
        const target = this.#anyone();
        const link = this.#link(target);
        return { target, ...(link && { link }), variant: this.#one(['noticed', 'unnoticed']) };
      }
      case 'sever': {
        const target = this.#anyone();
        const others = this.#o.nodes.filter((name) => name !== target);
        return { target, other: this.#one(others), variant: this.#one(['both', 'out']) };
      }
      case 'delay': {
        const target = this.#anyone();
        const link = this.#link(target);
        return {
          target,
          ...(link && { link }),
          amount: Math.round(5 * 2 ** (random.next() * 8)),
          variant: this.#one(['in', 'out', 'both']),
        };
      }
      case 'lose-link':
      case 'late-flush':
        return { target: this.#anyone() };
      case 'slow-store':
        return { target: this.#one(this.#o.nodes), amount: Math.round(this.#between(100, 2_600)) };
      case 'late-proof':
        return { target: this.#one(this.#o.nodes), amount: Math.round(this.#between(300, 950)) };
      case 'doubtful-writes':
        return {
          target: this.#one(this.#o.nodes),
          amount: 1 + Math.floor(random.next() * 4),
          variant: this.#one(['applied-refused', 'applied-unavailable', 'refused', 'unavailable']),
        };
      case 'slow-log':
        return { target: this.#one(this.#o.nodes), amount: Math.round(5 * 2 ** (random.next() * 8)) };
      case 'doubtful-appends':
        return { target: this.#one(this.#o.nodes), amount: 1 + Math.floor(random.next() * 4), variant: this.#one(appendFaults) };
      case 'no-log': {
        const variant = this.#one([undefined, 'lost', 'stored_unknown']);
        return { target: this.#one(this.#o.nodes), ...(variant !== undefined && { variant }) };
      }
      case 'late-append':
      case 'full-log':
      case 'stale-log':
      case 'stale-reads':
        return { target: this.#one(this.#o.nodes) };
      case 'late-watch':
        return { target: this.#one(this.#o.nodes), ...(random.next() < 0.5 && { amount: Math.round(this.#between(50, 3_000)) }) };
      case 'clock-rate':
        return { target: this.#anyone(), amount: Math.round((0.99 + random.next() * 0.02) * 10_000) / 10_000 };
      case 'wall-jump':
        return { target: this.#one(this.#o.nodes), amount: Math.round((random.next() - 0.5) * (random.next() < 0.5 ? 5_000 : 7_200_000)) };
    }
  }

  #between(low: number, high: number): number {
    return low + this.#o.random.next() * (high - low);
  }

  #one<T>(of: readonly T[]): T {
    return of[Math.floor(this.#o.random.next() * of.length)] as T;
  }

  #anyone(): string {
    return this.#o.random.next() < 0.8 || this.#o.clients.length === 0 ? this.#one(this.#o.nodes) : this.#one(this.#o.clients);
  }

  #link(target: string): 'data' | 'control' | undefined {
    const dice = this.#o.random.next();
    if (dice < 0.4 || this.#o.clients.includes(target)) return undefined;
    return dice < 0.8 ? 'control' : 'data';
  }
}
