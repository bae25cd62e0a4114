import type { CarriedActor } from '../contract/calls.ts';
import type { StoredRecord } from '../contract/record-store.ts';
import { Alarm } from './alarm.ts';
import { claimedRecord, isAbandoned, mayClaim } from './claim-rule.ts';
import { giveShard, type ShardGiven } from './give-shard.ts';
import { inheritedActors } from './inherited-actors.ts';
import { type Incarnated, sameIncarnation, type ShardRecord, shardKey } from './records.ts';
import { settledWrite } from './settled-write.ts';
import type { ShardManagerOptions } from './shard-manager-options.ts';
import type { Drain, Open, Part, Released, Resting } from './shard-part.ts';
import type { ClaimedFrom, ShardEntry } from './shard-table.ts';
import { Successors } from './successors.ts';
import { Wish } from './view.ts';

/** How long a shard stays as it is after something failed that may fail again at once. */
const restMs = 100;
const restMaxMs = 30_000;

/**
 * Reconciles the shards that placement gives to this node with the shard records. Every node runs one; there is no coordinator.
 *
 * Invariants:
 * - I1: a shard is opened only under a record that names this incarnation and an epoch above every earlier one, put there by an applied compare-and-set.
 * - H11: a record is claimed only when it is free, was released to this node, or its owner's incarnation is gone (a monotone fact).
 * - A shard is released only after its turns ended and the successor acknowledged their state; until the successor's claim is seen the state is kept.
 * - A node that said it has nothing left takes nothing more: what is released to it then goes back to whoever released it.
 */
export class ShardManager {
  readonly #o: ShardManagerOptions;
  readonly #parts = new Map<number, Part>();
  readonly #successors: Successors;
  /** Looks again at everything. */
  readonly #alarm: Alarm;
  #wish: Wish | undefined;
  #wishView = -1;
  #rebalanceAt = 0;
  #scheduled = false;
  #drain: Drain | undefined;
  #stopped = false;
  #handoffs = 0;
  #claims = 0;
  /** Whose state nobody took over. */
  #endedActors = 0;

  constructor(options: ShardManagerOptions) {
    this.#o = options;
    this.#successors = new Successors(options.members, options.self, options.clock);
    this.#alarm = new Alarm(options.clock, () => this.schedule());
  }

  /** How many shards this node serves. */
  get owned(): number {
    let count = 0;
    for (const part of this.#parts.values()) if (part.phase === 'open') count += 1;
    return count;
  }

  /** The epoch under which this node serves the shard; `undefined` where it does not. */
  epochOf(shard: number): number | undefined {
    const part = this.#parts.get(shard);
    return part?.phase === 'open' ? part.epoch : undefined;
  }

  /** Members came, went or changed: shards may have to move, after a moment in which more of them may come. */
  membersChanged(): void {
    const { clock, settings } = this.#o;
    this.#rebalanceAt = clock.now() + settings.rebalanceDelayMs;
    this.schedule();
  }

  /**
   * I2: the log of a durable actor holds a higher epoch than the one under which this node serves the shard, as after the records were lost. If
   * they still name this node it claims the shard anew, above that epoch; its actors come along.
   */
  renew(shard: number, above: number): void {
    const { table, host, clock, settings } = this.#o;
    const part = this.#parts.get(shard);
    const entry = table.get(shard);
    if (this.#stopped || part?.phase !== 'open' || part.epoch > above || !entry || !this.#isHeld(entry.record, part.epoch)) return;
    const { epoch } = part;
    this.#parts.set(shard, { phase: 'closing', successor: undefined, abandon: new AbortController() });
    void host.closeShard(shard, { drainMs: settings.drainMs, successor: undefined }).then((carried) => {
      if (this.#stopped) return;
      this.#parts.set(shard, { phase: 'released', since: clock.now(), epoch, carried, renewAbove: above });
      this.schedule();
    });
  }

  /** Looks at every shard at the end of this turn of the event loop. */
  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#o.clock.defer(() => {
      this.#scheduled = false;
      this.#reconcile();
    });
  }

  /** Hands every shard over; resolves when this node has none left and takes none any more, or was stopped. */
  drain(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    if (!this.#drain) {
      const { clock, settings } = this.#o;
      const { promise, resolve } = Promise.withResolvers<void>();
      const now = clock.now();
      this.#drain = { turnsEndAt: now + settings.drainMs / 2, endsAt: now + settings.drainMs, done: promise, resolve };
      this.#wishView = -1;
      this.schedule();
    }
    return this.#drain.done;
  }

  /** Ends everything at once: the incarnation is over. */
  stop(): void {
    this.#stopped = true;
    this.#alarm.cancel();
    if (this.#endedActors > 0)
      this.#o.log.warn(
        { actors: this.#endedActors },
        'no node is left that may take over; what was only in the memory of actors ends here',
      );
    this.#endedActors = 0;
    const parts = [...this.#parts];
    this.#parts.clear();
    for (const [shard, part] of parts) {
      if (part.phase === 'closing') part.abandon.abort();
      this.#o.host.dropShard(shard);
    }
    this.#drain?.resolve();
  }

  #reconcile(): void {
    const { members, table, self } = this.#o;
    if (this.#stopped) return;
    if (members.synced && table.synced) {
      if (this.#wishView !== members.view) {
        this.#wishView = members.view;
        this.#wish = new Wish(members, table.shards, this.#drain && self.nodeId);
      }
      for (let shard = 0; shard < table.shards; shard += 1) this.#step(shard);
    }
    if (this.#drain && this.#isEmpty()) this.stop();
  }

  #isEmpty(): boolean {
    for (const part of this.#parts.values()) if (part.phase !== 'resting' || part.next) return false;
    return true;
  }

  #step(shard: number): void {
    const part = this.#parts.get(shard);
    switch (part?.phase) {
      case undefined:
        this.#maybeClaim(shard);
        return;
      case 'open':
        this.#maybeHandOff(shard, part);
        return;
      case 'released':
        this.#watchRelease(shard, part);
        return;
      case 'resting':
        this.#rest(shard, part);
        return;
      case 'closing':
        if (part.successor && this.#o.members.isGone(part.successor)) part.abandon.abort();
        return;
      case 'claiming':
    }
  }

  #rest(shard: number, part: Resting): void {
    if (this.#o.clock.now() < part.until) {
      this.#alarm.at(part.until);
      return;
    }
    this.#setPart(shard, part.next);
    this.#step(shard);
  }

  #setPart(shard: number, part: Part | undefined): void {
    if (part) this.#parts.set(shard, part);
    else this.#parts.delete(shard);
  }

  #isMine(record: ShardRecord): boolean {
    return sameIncarnation(record, this.#o.self);
  }

  #maybeClaim(shard: number): void {
    const { table, clock, settings, homes, members, self } = this.#o;
    const known = table.get(shard)?.record;
    if (known && table.setBackTo(shard) && isAbandoned(known, members)) table.acceptSetBack(shard);
    const entry = table.get(shard);
    const record = entry?.record;
    const wished = this.#wish?.owner(shard, record) === self.nodeId;
    if (!homes.mayOwn(shard, record) || !mayClaim({ self, members, wished, record })) return;
    if (entry && this.#isHeld(entry.record, table.highestEpoch(shard))) {
      this.#open(entry.record, undefined, inheritedActors(entry.record, [], this.#o));
      return;
    }
    if (this.#claims >= settings.claimsMax || (this.#drain && clock.now() >= this.#drain.endsAt)) return;
    this.#startClaim(shard, entry, undefined);
  }

  /** `before` is what this node goes back to when the claim comes to nothing. A claim that is applied late is adopted when its record is seen. */
  #startClaim(shard: number, entry: ClaimedFrom | undefined, before: Released | undefined): void {
    const { clock, lease, log } = this.#o;
    // Once the lease holds again, everything is looked at anew.
    if (!lease.mayAct(clock.now())) return;
    this.#claims += 1;
    this.#parts.set(shard, { phase: 'claiming' });
    const failed = (error: unknown): false => {
      log.error({ shard, err: error }, 'claiming a shard failed');
      return false;
    };
    void this.#claim(shard, entry, before)
      .catch(failed)
      .then((opened) => {
        this.#claims -= 1;
        if (this.#stopped) return;
        const isSetBack = entry !== undefined && entry.record === undefined;
        const isNews = !isSetBack && this.#o.table.get(shard)?.revision !== entry?.revision;
        const rest = { phase: 'resting', until: clock.now() + restMs, next: before } as const;
        if (!opened && this.#parts.get(shard)?.phase === 'claiming') this.#setPart(shard, isNews ? before : rest);
        this.schedule();
      });
  }

  /** `false` when the claim was refused or its outcome is not known. */
  async #claim(shard: number, entry: ClaimedFrom | undefined, kept: Released | undefined): Promise<boolean> {
    const { store, clock, lease, self, table, homes } = this.#o;
    const before = entry?.record;
    const revision = entry?.revision ?? 0;
    const known = before ?? table.get(shard)?.record;
    const above = Math.max(kept?.renewAbove ?? 0, table.highestEpoch(shard));
    const record = claimedRecord({ self, shard, before, known, above, home: homes.of(shard, known), wallMs: clock.wall() });
    const wanted = (): boolean => !this.#stopped && lease.mayAct(clock.now());
    const outcome = await settledWrite({ store, clock, key: shardKey(shard), value: JSON.stringify(record), revision, wanted });
    if (this.#stopped) return false;
    if (outcome.kind === 'refused') this.#takeLatest(shard, revision, outcome.latest);
    if (outcome.kind !== 'applied') return false;
    this.#open(record, before, inheritedActors(record, kept?.carried ?? [], this.#o));
    table.learn(outcome.stored);
    return true;
  }

  #takeLatest(shard: number, revision: number, latest: StoredRecord | undefined): void {
    if (latest && latest.revision > revision) this.#o.table.learn(latest);
    else this.#o.table.setBack(shard, latest);
  }

  #open(record: ShardRecord, before: ShardRecord | undefined, carried: readonly CarriedActor[]): void {
    const { host, metrics, onOpened } = this.#o;
    this.#parts.set(record.shard, { phase: 'open', epoch: record.epoch, keepUntil: 0, failures: 0 });
    host.openShard(record.shard, record.epoch, carried);
    metrics.epochChanges.inc();
    onOpened(record, before);
    this.schedule();
  }

  #maybeHandOff(shard: number, part: Open): void {
    const { table, host, metrics, clock, settings, self, homes } = this.#o;
    const entry = table.get(shard);
    if (!entry || entry.record.epoch < part.epoch || homes.isPinning(shard)) return;
    if (!this.#isHeld(entry.record, part.epoch)) {
      metrics.fenceRejections.inc();
      this.#parts.delete(shard);
      host.dropShard(shard);
      this.schedule();
      return;
    }
    if (table.setBackTo(shard)) return void this.#closeToReclaim(shard, part);
    const wanted = this.#wish?.owner(shard, entry.record);
    const hasNone = (): boolean => entry.record.home !== undefined || this.#successors.hasNone();
    if (wanted === self.nodeId || (wanted === undefined && !(this.#drain && hasNone()))) return;
    const notBefore = Math.max(part.keepUntil, this.#drain ? 0 : this.#rebalanceAt);
    if (clock.now() < notBefore) {
      this.#alarm.at(notBefore);
      return;
    }
    if (this.#handoffs >= settings.handoffsMax) return;
    const successor = this.#successor(wanted);
    if (typeof successor === 'number') this.#alarm.at(successor);
    else this.#startHandOff(shard, entry, successor, part.failures);
  }

  /** The store was set back: what this node owns it says again, with another epoch and the state it has, before somebody else claims it. */
  async #closeToReclaim(shard: number, { epoch }: Open): Promise<void> {
    const { host, clock, settings, log, self } = this.#o;
    const since = clock.now();
    this.#parts.set(shard, { phase: 'closing', successor: undefined, abandon: new AbortController() });
    log.warn({ shard, epoch }, 'the store knows nothing of a shard of this node, which claims it anew');
    const carried = await host.closeShard(shard, { drainMs: settings.drainMs, successor: self.nodeId });
    if (!this.#stopped) this.#setPart(shard, { phase: 'released', since, epoch, carried });
    this.schedule();
  }

  #isHeld(record: ShardRecord, epoch: number): boolean {
    return record.epoch === epoch && record.state === 'owned' && this.#isMine(record);
  }

  #successor(wanted: string | undefined): Incarnated | number | undefined {
    if (wanted === undefined) return undefined;
    return this.#drain ? this.#successors.anyFrom(wanted) : this.#successors.wanted(wanted);
  }

  #startHandOff(shard: number, entry: ShardEntry, successor: Incarnated | undefined, failures: number): void {
    const { clock, settings, log } = this.#o;
    const since = clock.now();
    const abandon = new AbortController();
    this.#handoffs += 1;
    this.#parts.set(shard, { phase: 'closing', successor, abandon });
    const gift = {
      ...this.#o,
      ...{ record: entry.record, revision: entry.revision, successor, signal: abandon.signal, wanted: () => !this.#stopped },
      drainMs: this.#drain ? Math.max(1, this.#drain.turnsEndAt - since) : settings.drainMs,
    };
    const failed = (error: unknown): ShardGiven => {
      log.error({ shard, err: error }, 'handing a shard over failed');
      return { kind: 'kept', carried: [] };
    };
    void giveShard(gift)
      .catch(failed)
      .then((given) => {
        this.#handoffs -= 1;
        if (successor && given.kind === 'kept') this.#successors.failed(successor, since);
        else if (successor && given.kind === 'released') this.#successors.answered(successor);
        if (!this.#stopped) this.#handedOff(shard, entry, { since, failures }, given);
        this.schedule();
      })
      .catch((error: unknown) => log.error({ shard, err: error }, 'a shard that was not handed over could not go on'));
  }

  #handedOff(
    shard: number,
    { record, revision }: ShardEntry,
    { since, failures }: { readonly since: number; readonly failures: number },
    given: ShardGiven,
  ): void {
    const { table } = this.#o;
    switch (given.kind) {
      case 'released': {
        const { carried, stored, successor } = given;
        // What is stored carries no state.
        if (!successor) for (const { state } of carried) if (state !== undefined) this.#endedActors += 1;
        this.#setPart(shard, successor ? { phase: 'released', since, epoch: record.epoch, carried } : undefined);
        table.learn(stored);
        return;
      }
      case 'kept':
        this.#goOn(shard, record.epoch, table.get(shard)?.record ?? record, given.carried, failures);
        return;
      case 'refused':
        this.#takeLatest(shard, revision, given.latest);
        this.#goOn(shard, record.epoch, table.get(shard)?.record, given.carried, failures);
        return;
      case 'ended':
        this.#parts.delete(shard);
    }
  }

  /** After a handoff that came to nothing: this node serves the shard again if the record still says that it is its own. */
  #goOn(shard: number, epoch: number, latest: ShardRecord | undefined, carried: readonly CarriedActor[], failures: number): void {
    const { clock, settings, host } = this.#o;
    if (!latest || !this.#isHeld(latest, epoch)) {
      this.#parts.delete(shard);
      return;
    }
    // Each attempt stops the shard for as long as the successor leaves it without an answer.
    const longest = this.#drain ? restMs : restMaxMs;
    const keepUntil = clock.now() + Math.max(settings.rebalanceDelayMs, Math.min(longest, restMs * 2 ** failures));
    this.#parts.set(shard, { phase: 'open', epoch, keepUntil, failures: failures + 1 });
    host.openShard(shard, epoch, carried);
  }

  /** The state is kept until another epoch is seen; a successor that vanished before it claimed gives the shard back. */
  #watchRelease(shard: number, part: Released): void {
    const { table, members, clock, metrics } = this.#o;
    const entry = table.get(shard);
    if (!entry) return;
    const { record } = entry;
    if (record.epoch > part.epoch && this.#isMine(record)) {
      this.#open(record, undefined, part.carried);
      return;
    }
    if (!this.#isMine(record)) {
      metrics.handoffSeconds.observe((clock.now() - part.since) / 1000);
      this.#parts.delete(shard);
      this.schedule();
      return;
    }
    const setBackTo = table.setBackTo(shard);
    const isToRenew = part.renewAbove !== undefined && this.#isHeld(record, part.epoch);
    if (setBackTo || isToRenew) this.#startClaim(shard, setBackTo ?? entry, part);
    // It was closed to be claimed anew, and the store has it after all.
    else if (record.state === 'owned') this.#goOn(shard, part.epoch, record, part.carried, 0);
    else if (record.successor && members.isGone(record.successor)) this.#startClaim(shard, entry, part);
  }
}
