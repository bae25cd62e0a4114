import type { Activation } from '../../actor/activation.ts';
import { LogLimiter } from '../../base/log-text.ts';
import type { StreamName } from '../../contract/commit-log.ts';
import type { CommitNotes } from '../../events/commit.ts';
import type { HeldActor } from '../held-actor.ts';
import { Courier } from '../outbox/courier.ts';
import { DeadMessages } from '../outbox/dead-messages.ts';
import { Deliveries } from '../outbox/deliveries.ts';
import { Bell } from '../reminders/bell.ts';
import { Agenda } from './agenda.ts';
import type { DutiesOptions } from './duties-options.ts';
import { Duty, needAdded, needOf } from './duty.ts';
import { Lines, type Work, works } from './lines.ts';
import { WakeLists } from './wake-lists.ts';
import { WakeMetrics } from './wake-metrics.ts';
import { WakeRecord } from './wake-record.ts';
import type { Wake } from './wake.ts';

/** So many delivered messages are noted by a commit of their own even while there are more. */
const unnotedMax = 64;

/**
 * What the durable actors of a node do without being called: messages of outboxes are delivered, reminders are called, and actors are brought into
 * memory for it. Everything is decided by the books of an actor, as its last commit left them; this only says when to look at them.
 *
 * Invariants:
 * - The messages of an actor are delivered one after the other, in the order in which they were committed. One is left behind only when its receiver
 *   has acknowledged it, or when it is in the store as a dead letter.
 * - Nothing is looked at that the store does not hold: books change by commits only.
 * - What is lost here, with the node or the shard, is found again by the wake records.
 */
export class Duties {
  readonly #o: DutiesOptions;
  readonly #metrics: WakeMetrics;
  readonly #agenda: Agenda;
  readonly #lists: WakeLists;
  readonly #bell: Bell;
  readonly #deliveries: Deliveries;
  readonly #limiter: LogLimiter;
  /** By address. */
  readonly #duties = new Map<string, Duty>();
  /** Those of them whose actors are not in memory. */
  readonly #absent = new Set<Duty>();
  readonly #lines = new Lines<Duty>();
  /** Woken, and not yet seen in memory. */
  readonly #waking = new Set<Duty>();
  readonly #busy = { deliver: 0, call: 0 };
  #isStopped = false;

  constructor(options: DutiesOptions) {
    this.#o = options;
    const { cluster, records, settings, clock, log, caller, publish } = options;
    const metrics = new WakeMetrics(options.metrics);
    const backoffMs = (tries: number): number => this.#backoffMs(tries);
    this.#metrics = metrics;
    this.#agenda = new Agenda(
      clock,
      () => this.#pump(),
      () => this.#placeAll(),
    );
    this.#lists = new WakeLists({
      ...{ records, clock, settings, metrics, backoffMs, onFenced: options.onFenced },
      onWakes: (shard, epoch, wakes) => this.#listed(shard, epoch, wakes),
      onFailure: (err) => this.#warn('list', { err }, 'the actors to be woken could not be looked up yet'),
      onChange: () => this.#agenda.wakeAt(this.#lists.nextAt),
    });
    this.#bell = new Bell({
      ...{ clock, log, settings, metrics, backoffMs },
      call: ({ shard, stream }, request) => options.host().wake(shard, stream.type, stream.key, request),
      onEnd: (duty) => this.#ended(duty, 'call'),
    });
    this.#deliveries = new Deliveries({
      ...{ clock, log, settings, metrics, backoffMs, mayAct: options.mayAct },
      courier: new Courier({ cluster, caller, publish, clock, timeoutMs: settings.outboxTimeoutMs, metrics }),
      dead: new DeadMessages(records, cluster),
      onEnd: (duty) => this.#ended(duty, 'deliver'),
    });
    this.#limiter = new LogLimiter(clock);
    metrics.observe({ kept: () => this.#duties.size, atWork: () => this.#atWork });
  }

  opened(shard: number, epoch: number): void {
    if (this.#isStopped) return;
    this.#forget(shard);
    this.#lists.open(shard, epoch);
    this.#agenda.wakeAt(this.#lists.nextAt);
  }

  async closing(shard: number): Promise<void> {
    this.dropped(shard);
    await this.#deliveries.leave(shard);
  }

  dropped(shard: number): void {
    this.#lists.close(shard);
    this.#forget(shard);
  }

  stop(): void {
    this.#isStopped = true;
    this.#agenda.stop();
    for (const duty of [...this.#duties.values()]) this.#drop(duty);
  }

  /** The actor is as the store holds it: after it was loaded, and after each commit. */
  seen(activation: Activation, held: HeldActor): void {
    if (activation.slot.hasLeft) return;
    const duty = this.#dutyOf(activation.address, held, !held.hasDuty && needOf(held.books) === Infinity);
    if (duty === undefined) return;
    const { clock } = this.#o;
    this.#waking.delete(duty);
    this.#absent.delete(duty);
    this.#lines.leave('wake', duty);
    duty.activation = activation;
    duty.held = held;
    held.deliveredTo = Math.max(held.deliveredTo, duty.deliveredTo);
    if (duty.present !== undefined) duty.wakes.count = 0;
    duty.notes.count = 0;
    duty.notes.againAt = 0;
    duty.isUnsure = false;
    duty.prune(held.books);
    const need = needOf(held.books);
    if (need !== duty.need || !duty.isTidy) duty.changedAt = clock.now();
    if (need !== duty.need) duty.isTidy = false;
    duty.need = need;
    this.#place(duty);
    this.#admit();
  }

  /** Before a commit is sent: undefined when that may be at once. Rejects with what the commit is refused with. */
  covered(activation: Activation, held: HeldActor, notes: CommitNotes): Promise<void> | undefined {
    const need = needAdded(notes);
    const duty = need === Infinity ? this.#known(activation.address, held) : this.#dutyOf(activation.address, held, false);
    if (duty === undefined) return undefined;
    duty.inTurn = true;
    if (need === Infinity || duty.record.covers(need)) return undefined;
    duty.isTidy = false;
    return duty.record.cover(need);
  }

  /** The commit has ended, in whatever way. */
  committed(activation: Activation, held: HeldActor): void {
    const duty = activation.slot.hasLeft ? undefined : this.#known(activation.address, held);
    if (duty === undefined) return;
    duty.inTurn = false;
    if (!held.stale) return this.seen(activation, held);
    duty.isUnsure = true;
    this.#place(duty);
  }

  /** The actor has left memory. */
  removed(activation: Activation): void {
    const duty = this.#duties.get(activation.address);
    if (duty === undefined || duty.activation !== activation) return;
    duty.activation = undefined;
    duty.held = undefined;
    if (activation.slot.phase !== 'open') return;
    this.#absent.add(duty);
    if (!this.#isTidyable(duty)) this.#place(duty);
    else if (duty.isTidy) this.#leave(duty);
    else this.#tidy(duty);
  }

  get #atWork(): number {
    return this.#busy.deliver + this.#busy.call + this.#waking.size;
  }

  #known(address: string, held: HeldActor): Duty | undefined {
    const duty = held.hasDuty ? this.#duties.get(address) : undefined;
    return duty?.epoch === held.author.epoch ? duty : undefined;
  }

  /** Of a shard that is closing already it is known to nobody else. */
  #dutyOf(address: string, held: HeldActor, isNeedless: boolean): Duty | undefined {
    const found = this.#duties.get(address);
    if (found?.epoch === held.author.epoch) {
      held.hasDuty = true;
      return found;
    }
    if (isNeedless) return undefined;
    const duty = this.#make(held.stream, held.shard, held.author.epoch, needOf(held.books));
    if (this.#lists.epochOf(held.shard) !== held.author.epoch) return duty;
    this.#duties.set(address, duty);
    held.hasDuty = true;
    return duty;
  }

  #make(stream: StreamName, shard: number, epoch: number, need: number): Duty {
    const { records, clock, settings, onFenced } = this.#o;
    const parts = { records, clock, onFenced, patienceMs: settings.commitSettleMs, writes: this.#metrics.recordWrites };
    return new Duty(stream, shard, epoch, new WakeRecord(parts, shard, epoch, stream), need);
  }

  #listed(shard: number, epoch: number, wakes: readonly Wake[]): void {
    for (const { type, key, dueAt } of wakes) {
      const address = `${type}/${key}`;
      if (this.#duties.has(address)) continue;
      const duty = this.#make({ type, key }, shard, epoch, dueAt);
      this.#duties.set(address, duty);
      this.#absent.add(duty);
      this.#place(duty);
    }
    this.#makeRoom();
  }

  /** Of those that are not in memory the ones that are due first stay. */
  #makeRoom(): void {
    const { wakesKeptMax } = this.#o.settings;
    if (this.#absent.size <= wakesKeptMax) return;
    const absent = [...this.#absent].filter((duty) => !this.#waking.has(duty) && this.#isTidyable(duty));
    absent.sort((a, b) => a.need - b.need);
    for (const duty of absent.slice(Math.ceil(wakesKeptMax / 2))) {
      this.#lists.cut(duty.shard);
      this.#drop(duty);
    }
  }

  #forget(shard: number): void {
    for (const duty of [...this.#duties.values()]) if (duty.shard === shard) this.#drop(duty);
  }

  #drop(duty: Duty): void {
    this.#agenda.place(duty, Infinity);
    duty.isGone = true;
    this.#lines.leaveAll(duty);
    this.#waking.delete(duty);
    this.#absent.delete(duty);
    if (duty.held !== undefined) duty.held.hasDuty = false;
    if (this.#duties.get(duty.address) === duty) this.#duties.delete(duty.address);
  }

  #placeAll(): void {
    for (const duty of this.#duties.values()) if (!this.#waking.has(duty)) this.#place(duty);
  }

  #place(duty: Duty): void {
    if (duty.isGone) return;
    this.#agenda.place(duty, this.#nextAt(duty));
  }

  /** When it has to be looked at next, monotonic ms. */
  #nextAt(duty: Duty): number {
    const { clock, settings } = this.#o;
    const held = duty.present;
    const now = clock.now();
    if (held === undefined) {
      if (this.#lines.has('wake', duty)) return Infinity;
      if (duty.isUnsure) return Math.max(now, duty.wakes.againAt);
      if (duty.need === Infinity) return duty.changedAt + settings.wakeKeepMs;
      return Math.max(now + Math.max(0, duty.need - clock.wall()), duty.wakes.againAt);
    }
    let at = this.#lines.has('call', duty) ? Infinity : this.#bell.nextAt(duty, held);
    if (!this.#lines.has('deliver', duty)) at = Math.min(at, this.#deliveries.nextAt(duty, held));
    if (this.#mustNote(duty, held)) at = Math.min(at, Math.max(now, duty.notes.againAt));
    else if (duty.unnoted > 0) at = Math.min(at, Math.max(now, duty.deliveredAt + settings.outboxNoteMs, duty.notes.againAt));
    if (duty.need !== 0 && !duty.isTidy && this.#isTidyable(duty)) at = Math.min(at, duty.changedAt + settings.wakeKeepMs);
    return at;
  }

  #mustNote(duty: Duty, held: HeldActor): boolean {
    return (held.skips !== undefined && held.skips.size > 0) || duty.unnoted >= unnotedMax;
  }

  #isTidyable(duty: Duty): boolean {
    return !duty.inTurn && !duty.isUnsure && !duty.isGone;
  }

  #pump(): void {
    if (this.#isStopped) return;
    this.#lists.step();
    for (let duty = this.#agenda.take(); duty !== undefined; duty = this.#agenda.take()) {
      this.#waking.delete(duty);
      this.#look(duty);
    }
    this.#admit();
    const { wakesKeptMax } = this.#o.settings;
    if (this.#absent.size <= wakesKeptMax / 4 && this.#lists.isCut) this.#lists.refill();
    this.#agenda.wakeAt(this.#lists.nextAt);
  }

  #look(duty: Duty): void {
    if (duty.isGone) return;
    const { clock, mayAct, settings } = this.#o;
    if (!mayAct()) return this.#agenda.place(duty, clock.now() + settings.wakeBackoffMs);
    const held = duty.present;
    if (held === undefined) return this.#lookAbsent(duty);
    const now = clock.now();
    if (this.#deliveries.nextAt(duty, held) <= now && this.#hasRoom('deliver', duty)) {
      this.#busy.deliver += 1;
      this.#deliveries.begin(duty, held);
    }
    if (this.#bell.nextAt(duty, held) <= now && this.#hasRoom('call', duty)) {
      this.#busy.call += 1;
      if (!this.#bell.ring(duty, held)) this.#busy.call -= 1;
    }
    const isNoteDue = duty.unnoted > 0 && now >= duty.deliveredAt + settings.outboxNoteMs;
    if ((this.#mustNote(duty, held) || isNoteDue) && now >= duty.notes.againAt) this.#note(duty);
    const mayTidy = duty.need !== 0 && !duty.isTidy && this.#isTidyable(duty);
    if (mayTidy && now >= duty.changedAt + settings.wakeKeepMs) this.#tidy(duty);
    this.#place(duty);
  }

  #lookAbsent(duty: Duty): void {
    const { clock, host } = this.#o;
    if (duty.need === Infinity && !duty.isUnsure) return duty.isTidy ? this.#drop(duty) : this.#tidy(duty);
    if (!duty.isUnsure && duty.need > clock.wall()) return this.#place(duty);
    if (!this.#hasRoom('wake', duty)) return;
    const { wakes, stream, shard } = duty;
    wakes.count += 1;
    wakes.againAt = clock.now() + this.#backoffMs(wakes.count);
    this.#agenda.place(duty, wakes.againAt);
    this.#waking.add(duty);
    this.#metrics.wakes.inc();
    if (!host().wake(shard, stream.type, stream.key)) this.#waking.delete(duty);
  }

  /** A turn of the actor stores what there is to note. */
  #note(duty: Duty): void {
    const { clock, host } = this.#o;
    const { notes, stream, shard } = duty;
    notes.count += 1;
    notes.againAt = clock.now() + this.#backoffMs(notes.count);
    this.#metrics.wakes.inc();
    host().wake(shard, stream.type, stream.key);
  }

  #tidy(duty: Duty): void {
    const { need } = duty;
    const isStill = (): boolean => duty.need === need && this.#isTidyable(duty);
    duty.isTidy = true;
    duty.record.tidy(need, isStill).then(
      () => {
        if (isStill()) this.#leave(duty);
        else this.#tidyLater(duty);
      },
      () => this.#tidyLater(duty),
    );
  }

  #tidyLater(duty: Duty): void {
    duty.isTidy = false;
    duty.changedAt = this.#o.clock.now();
    this.#place(duty);
  }

  /** The record says what there is to know: what is not in memory, and not due before the next look at the records, need not be known here. */
  #leave(duty: Duty): void {
    const { clock, settings } = this.#o;
    const isFar = duty.need > clock.wall() + settings.wakeHorizonMs;
    const isAbsent = duty.present === undefined && !this.#waking.has(duty);
    if (duty.need === Infinity || (isFar && isAbsent)) this.#drop(duty);
    else this.#place(duty);
  }

  #ended(duty: Duty, work: 'deliver' | 'call'): void {
    this.#busy[work] -= 1;
    this.#place(duty);
    this.#admit();
  }

  #countOf(work: Work): number {
    return work === 'wake' ? this.#waking.size : this.#busy[work];
  }

  /** Else it waits in line, and is looked at again when there is room. */
  #hasRoom(work: Work, duty: Duty): boolean {
    if (this.#countOf(work) < this.#o.settings.wakesAtOnceMax) return true;
    this.#lines.join(work, duty);
    return false;
  }

  /** Whoever is first in line is looked at again, as far as there is room. */
  #admit(): void {
    for (const work of works) {
      const room = this.#o.settings.wakesAtOnceMax - this.#countOf(work);
      for (const duty of this.#lines.take(work, room)) this.#place(duty);
    }
  }

  #backoffMs(tries: number): number {
    const { settings, random } = this.#o;
    const ms = Math.min(settings.wakeBackoffMaxMs, settings.wakeBackoffMs * 2 ** Math.min(30, tries - 1));
    return ms * (0.75 + random.next() / 4);
  }

  #warn(cause: string, fields: Readonly<Record<string, unknown>>, text: string): void {
    const leftOut = this.#limiter.allow(cause);
    if (leftOut !== undefined) this.#o.log.warn({ ...fields, leftOut }, text);
  }
}
