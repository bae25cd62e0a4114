import type { Clock } from '../base/clock.ts';
import type { Members } from './members.ts';
import { type Incarnated, type MemberRecord, sameIncarnation } from './records.ts';

/** How long a node that did not take a shard is left alone, at first and at most. */
const restMs = 100;
const restMaxMs = 30_000;

interface Failures {
  readonly who: Incarnated;
  count: number;
  lastAt: number;
}

/** Chooses who takes a shard. A handoff stops its shard for as long as the successor leaves it without an answer, so those that did are spared. */
export class Successors {
  readonly #members: Members;
  readonly #self: Incarnated;
  readonly #clock: Clock;
  readonly #failures = new Map<string, Failures>();

  constructor(members: Members, self: Incarnated, clock: Clock) {
    this.#members = members;
    this.#self = self;
    this.#clock = clock;
  }

  /** A handoff that began at `since` came to nothing. */
  failed(who: Incarnated, since: number): void {
    for (const [incarnation, known] of this.#failures) if (this.#members.isGone(known.who)) this.#failures.delete(incarnation);
    const known = this.#failures.get(who.incarnation) ?? { who, count: 0, lastAt: Number.NEGATIVE_INFINITY };
    // Those that went on at the same time fail for the same reason.
    if (since >= known.lastAt) known.count += 1;
    known.lastAt = this.#clock.now();
    this.#failures.set(who.incarnation, known);
  }

  answered(who: Incarnated): void {
    this.#failures.delete(who.incarnation);
  }

  /** The node that placement wants, or the time at which it may be tried again. */
  wanted(nodeId: string): MemberRecord | number | undefined {
    const record = this.#members.get(nodeId)?.record;
    const failures = record && this.#failures.get(record.incarnation);
    const until = failures ? failures.lastAt + Math.min(restMaxMs, restMs * 2 ** (failures.count - 1)) : 0;
    return until > this.#clock.now() ? until : record;
  }

  /**
   * This node leaves and nobody is there to take over. Known only once the watch has brought back its own word that it leaves, since
   * everything that was written before has come by then; and while no other node is joining.
   */
  hasNone(): boolean {
    if (this.#members.living(this.#self)?.record.state !== 'draining') return false;
    for (const { record } of this.#members.all()) if (record.state === 'joining') return false;
    return true;
  }

  /** A node that leaves gives to another one what the wanted one does not take, rather than to lose its state. */
  anyFrom(nodeId: string): MemberRecord | number | undefined {
    const records = [...this.#members.all()].map(({ record }) => record);
    const others = records.filter((record) => record.state === 'active' && !sameIncarnation(record, this.#self));
    const count = (record: MemberRecord): number => this.#failures.get(record.incarnation)?.count ?? 0;
    const isBefore = (record: MemberRecord): boolean => record.nodeId < nodeId;
    const byId = (a: MemberRecord, b: MemberRecord): number => (a.nodeId < b.nodeId ? -1 : 1);
    const fromWanted = (a: MemberRecord, b: MemberRecord): number => Number(isBefore(a)) - Number(isBefore(b)) || byId(a, b);
    const best = others.sort((a, b) => count(a) - count(b) || fromWanted(a, b))[0];
    const until = (best ? (this.#failures.get(best.incarnation)?.lastAt ?? 0) : 0) + restMs;
    return best && this.#failures.has(best.incarnation) && until > this.#clock.now() ? until : best;
  }
}
