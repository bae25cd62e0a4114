import type { Clock } from '../base/clock.ts';
import type { RecordListener, StoredRecord } from '../contract/record-store.ts';
import { generationOf, type Incarnated, type MemberRecord, outlivedOf, parseMember, renewedMember, sameIncarnation } from './records.ts';

export interface Sighting {
  readonly revision: number;
  /** When this revision was first seen here, by the monotonic clock. */
  readonly seenAt: number;
}

export interface Member extends Sighting {
  readonly record: MemberRecord;
  /** What it was read from. */
  readonly text: string;
}

const prefix = 'member.';
const candidatePrefix = 'candidate.';

/**
 * The members as last heard of. A stale picture may delay a decision and never makes one: what is derived from it is either a
 * monotone fact (`isGone`) or is proposed to the store as a compare-and-set.
 */
export class Members implements RecordListener {
  readonly #byId = new Map<string, Member>();
  /** Records of processes that wait for an id. */
  readonly #candidates = new Map<string, Sighting>();
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #synced = false;
  #changes = 0;

  /** `onChange` is called when the set of members, a state or a weight changed; not for mere renewals. */
  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** Counts the changes; the number of the view. */
  get view(): number {
    return this.#changes;
  }

  all(): IterableIterator<Member> {
    return this.#byId.values();
  }

  get(nodeId: string): Member | undefined {
    return this.#byId.get(nodeId);
  }

  candidates(): IterableIterator<[key: string, Sighting]> {
    return this.#candidates.entries();
  }

  /** The record was removed from the store, and nobody needs to know any more what it said. */
  drop(key: string): void {
    this.#candidates.delete(key);
    if (key.startsWith(prefix)) this.#byId.delete(key.slice(prefix.length));
  }

  /** Whether another incarnation serves, as far as is known here. */
  anyActiveBut(self: Incarnated): boolean {
    for (const { record } of this.#byId.values()) if (record.state === 'active' && !sameIncarnation(record, self)) return true;
    return false;
  }

  /** The member whose incarnation this is, unless it is known to be gone. */
  living(who: Incarnated): Member | undefined {
    const member = this.#byId.get(who.nodeId);
    return member && member.record.state !== 'gone' && sameIncarnation(member.record, who) ? member : undefined;
  }

  /**
   * True when the incarnation can never act again: its record says so, or a later incarnation replaced it, or one that says of itself that it
   * outlived it. Once true, always true. An incarnation that was not heard of yet is not gone.
   */
  isGone(who: Incarnated): boolean {
    const record = this.#byId.get(who.nodeId)?.record;
    if (!record) return false;
    if (record.incarnation === who.incarnation) return record.state === 'gone';
    const generation = generationOf(who.incarnation);
    return generation < generationOf(record.incarnation) || generation <= outlivedOf(record);
  }

  /**
   * Whether nobody will ever say by itself that the incarnation has ended: its node has no record, or one of an earlier incarnation that is gone,
   * as in a store that was set back. It could go on only by a renewal of a record of its own.
   */
  isOrphan(who: Incarnated): boolean {
    const record = this.#byId.get(who.nodeId)?.record;
    return !record || (record.state === 'gone' && !this.isGone(who));
  }

  /** Whether another incarnation holds the record of the node, and nothing says that this one has ended: only that other one can find out. */
  isReplaced(who: Incarnated): boolean {
    const record = this.#byId.get(who.nodeId)?.record;
    return record !== undefined && record.state !== 'gone' && record.incarnation !== who.incarnation && !this.isGone(who);
  }

  onRecord(stored: StoredRecord): void {
    if (stored.key.startsWith(candidatePrefix)) {
      this.#candidates.set(stored.key, { revision: stored.revision, seenAt: this.#clock.now() });
      return;
    }
    if (!stored.key.startsWith(prefix)) return;
    const { revision, value: text } = stored;
    const before = this.#byId.get(stored.key.slice(prefix.length));
    const record = (before && renewedMember(before, text)) ?? parseMember(text);
    if (!record || stored.key !== prefix + record.nodeId) return;
    if (before && before.revision >= revision && !isLater(before.record, record)) return;
    this.#byId.set(record.nodeId, { record, text, revision, seenAt: this.#clock.now() });
    if (before && !matters(before.record, record)) return;
    this.#changes += 1;
    if (this.#synced) this.#onChange();
  }

  onSynced(): void {
    this.#synced = true;
    this.#onChange();
  }
}

/** What is true for ever is taken from any revision: a store that is lost and made anew counts from 1 again. */
function isLater(before: MemberRecord, after: MemberRecord): boolean {
  if (before.incarnation === after.incarnation) return after.state === 'gone' && before.state !== 'gone';
  return generationOf(after.incarnation) > generationOf(before.incarnation);
}

function matters(before: MemberRecord, after: MemberRecord): boolean {
  return (
    before.incarnation !== after.incarnation ||
    before.state !== after.state ||
    before.weight !== after.weight ||
    before.links !== after.links ||
    before.outlived !== after.outlived ||
    (before.types !== after.types && Object.keys(before.types).length !== Object.keys(after.types).length)
  );
}
