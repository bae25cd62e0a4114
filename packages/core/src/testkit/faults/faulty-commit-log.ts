import { PerkeyError } from '../../base/errors.ts';
import type { AppendOutcome, CommitLog, LogAppend, LogBatch, LogRead, StreamName } from '../../contract/commit-log.ts';
import { refusalError } from '../../events/append-result.ts';
import type { AppliedAppend } from '../faulty-store.ts';
import type { AppendFault, CommitFaults } from './commit-faults.ts';
import type { FaultyCalls } from './faulty-calls.ts';

const unanswered: AppendOutcome = Object.freeze({ kind: 'unknown', text: 'the store was told not to answer this append' });

/** A log that suffers what its node was told to. A read that follows ends where it becomes stale. */
export class FaultyCommitLog implements CommitLog {
  readonly bodyBytesMax: number;
  readonly #inner: CommitLog;
  readonly #faults: CommitFaults;
  readonly #calls: FaultyCalls;
  readonly #applied: (applied: Omit<AppliedAppend, 'nodeId' | 'log'>) => void;
  readonly #name: 'events' | 'states';
  /** The highest sequence that an answer told. */
  #told = 0;

  constructor(
    name: 'events' | 'states',
    inner: CommitLog,
    faults: CommitFaults,
    calls: FaultyCalls,
    applied: (applied: Omit<AppliedAppend, 'nodeId' | 'log'>) => void,
  ) {
    this.#name = name;
    this.bodyBytesMax = inner.bodyBytesMax;
    this.#inner = inner;
    this.#faults = faults;
    this.#calls = calls;
    this.#applied = applied;
  }

  async append(append: LogAppend): Promise<AppendOutcome> {
    const fault = this.#faults.takeAppendFault();
    if (this.#faults.slowMs > 0) await this.#calls.before();
    const outcome = await (fault === undefined && !this.#faults.isFull ? this.#apply(append) : this.#suffer(append, fault));
    if (this.#faults.slowMs > 0) await this.#calls.after();
    if (outcome.kind === 'appended') this.#told = Math.max(this.#told, outcome.sequence);
    return outcome;
  }

  async *read(read: LogRead): AsyncGenerator<LogBatch, void, undefined> {
    await this.#calls.reach();
    let isEmpty = read.stream !== undefined && read.after === 0;
    for await (const batch of this.#inner.read(read)) {
      await this.#calls.after();
      this.#calls.check();
      const staleAt = this.#staleAt ?? Infinity;
      const isWhole = batch.through <= staleAt;
      const records = isWhole ? batch.records : batch.records.filter(({ sequence }) => sequence <= staleAt);
      isEmpty &&= records.length === 0;
      if (isEmpty) await this.#prove(read);
      if (isWhole) yield batch;
      else yield { records, through: Math.max(read.after, staleAt), live: true };
      if (!isWhole) return;
    }
    if (isEmpty) await this.#prove(read);
  }

  async barrier(): Promise<number> {
    await this.#calls.reach();
    if (this.#faults.isFull) throw refusalError('full', told('full'));
    const sequence = await this.#inner.barrier();
    await this.#calls.after();
    return sequence;
  }

  async last(): Promise<number> {
    await this.#calls.reach();
    return Math.min(await this.#inner.last(), this.#staleAt ?? Infinity);
  }

  async trim(stream: StreamName, before: number): Promise<void> {
    await this.#calls.reach();
    await this.#inner.trim(stream, before);
  }

  /** As a leader does: it says that there is no record only where it knows of all that there may be. */
  async #prove({ reached }: LogRead): Promise<void> {
    const least = (await reached?.()) ?? 0;
    if (least > (this.#staleAt ?? Infinity)) throw new PerkeyError('store.unavailable', 'the log that answers is older than it has to be');
  }

  get #staleAt(): number | undefined {
    const staleAt = this.#faults.staleAt(this.#name);
    return staleAt === undefined ? undefined : Math.max(staleAt, this.#told);
  }

  async #suffer(append: LogAppend, fault: AppendFault | undefined): Promise<AppendOutcome> {
    if (fault === 'unavailable') return refusal('unavailable');
    if (this.#faults.isFull || fault === 'full') return refusal('full');
    if (fault === 'conflict') return { kind: 'conflict' };
    if (fault === 'lost') return unanswered;
    if (fault === 'late') {
      this.#faults.addLate(() => void this.#apply(append));
      return unanswered;
    }
    const outcome = await this.#apply(append);
    if (outcome.kind !== 'appended') return outcome;
    if (fault === 'stored_unknown') return unanswered;
    if (fault === 'stored_conflict') return { kind: 'conflict' };
    if (fault === 'stored_late_answer') await new Promise<void>((resolve) => this.#faults.addLate(resolve));
    return outcome;
  }

  async #apply(append: LogAppend): Promise<AppendOutcome> {
    const outcome = await this.#inner.append(append);
    if (outcome.kind === 'appended')
      this.#applied({ stream: append.stream, sequence: outcome.sequence, epoch: append.epoch, body: append.body });
    return outcome;
  }
}

function refusal(reason: 'unavailable' | 'full'): AppendOutcome {
  return { kind: 'refused', reason, text: told(reason) };
}

function told(reason: 'unavailable' | 'full'): string {
  return `the store was told to be ${reason}`;
}
