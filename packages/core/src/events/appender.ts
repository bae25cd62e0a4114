import type { Clock } from '../base/clock.ts';
import { digestHex } from '../base/digest.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import type { AppendListener, AppendOutcome, CommitLog, LogAppend } from '../contract/commit-log.ts';
import { conflicted, refusalError, refused } from './append-result.ts';
import type { AppendResult } from './append-result.ts';
import { CommitWriter } from './commit-writer.ts';
import type { RecordParts } from './commit-writer.ts';
import type { StreamHead } from './commit.ts';
import type { EventMetrics } from './event-metrics.ts';

export interface AppenderParts {
  readonly log: CommitLog;
  readonly clock: Clock;
  readonly metrics: EventMetrics;
  readonly shards: number;
  readonly eventsMax: number;
  readonly bytesMax: number;
}

/** Is told what an append came to, and how long the log took for it. Must not throw. */
export interface ResultListener {
  onResult(result: AppendResult, ms: number): void;
}

/**
 * The one way by which records come into a log. An append names the head that its author knows and the epoch under which it acts, so that
 * an author who knows less than the log, or whose right has passed to a higher epoch that is in the log, stores nothing.
 */
export class Appender {
  readonly #parts: AppenderParts;
  readonly #writer: CommitWriter;

  constructor(parts: AppenderParts) {
    this.#parts = parts;
    this.#writer = new CommitWriter(Math.min(parts.bytesMax, parts.log.bodyBytesMax));
  }

  /** Never rejects. */
  append(record: RecordParts): Promise<AppendResult> {
    return new Promise((resolve) => this.send(record, this.#parts.clock.now(), { onResult: resolve }));
  }

  /** The listener is told once, perhaps before this returns. */
  send(record: RecordParts, now: number, listener: ResultListener): void {
    const { log, shards } = this.#parts;
    const { stream, head, author } = record;
    const known = this.#refusal(record);
    if (known !== undefined) return this.#tell(listener, known, 0);
    let body: Uint8Array;
    try {
      body = this.#writer.write(record);
    } catch (thrown) {
      return this.#tell(listener, refused(thrown as PerkeyError), 0);
    }
    const sent = new SentRecord(record, body, now, listener, this.#onOutcome);
    sendTo(log, { stream, shard: shardOf(stream.key, shards), expectedSequence: head.sequence, epoch: author.epoch, body }, sent);
  }

  #refusal({ head, author, draft }: RecordParts): AppendResult | undefined {
    if (head.ended) return refused(new PerkeyError('stream.tombstoned', 'The stream has ended with a tombstone; nothing can be appended.'));
    if (head.epoch > author.epoch) return { kind: 'fenced', owner: head.owner, epoch: head.epoch };
    const { eventsMax } = this.#parts;
    if (draft.events.length <= eventsMax) return undefined;
    return refused(new PerkeyError('commit.too_large', `The commit has ${draft.events.length} events, ${eventsMax} are allowed.`));
  }

  readonly #onOutcome = ({ record, body, sentAt, listener }: SentRecord, outcome: AppendOutcome): void => {
    const { clock, metrics } = this.#parts;
    const ms = clock.now() - sentAt;
    metrics.appendSeconds.observe(ms / 1_000);
    this.#tell(listener, this.#result(record, body, outcome), ms);
  };

  #result(record: RecordParts, body: Uint8Array, outcome: AppendOutcome): AppendResult {
    switch (outcome.kind) {
      case 'appended':
        this.#parts.metrics.events.inc(record.draft.events.length);
        this.#parts.metrics.bytes.inc(body.length);
        return { kind: 'appended', head: headAfter(record, outcome.sequence, body) };
      case 'conflict':
        return conflicted;
      case 'refused':
        return refused(refusalError(outcome.reason, outcome.text));
      case 'unknown':
        return outcome;
    }
  }

  #tell(listener: ResultListener, result: AppendResult, ms: number): void {
    this.#parts.metrics.appendEnded(result.kind);
    listener.onResult(result, ms);
  }
}

/** A record on its way into the log. */
class SentRecord implements AppendListener {
  readonly record: RecordParts;
  readonly body: Uint8Array;
  /** Monotonic ms. */
  readonly sentAt: number;
  readonly listener: ResultListener;
  readonly #told: (sent: SentRecord, outcome: AppendOutcome) => void;
  #isTold = false;

  constructor(
    record: RecordParts,
    body: Uint8Array,
    sentAt: number,
    listener: ResultListener,
    told: (sent: SentRecord, outcome: AppendOutcome) => void,
  ) {
    this.record = record;
    this.body = body;
    this.sentAt = sentAt;
    this.listener = listener;
    this.#told = told;
  }

  /** Only the first outcome counts. */
  onOutcome(outcome: AppendOutcome): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#told(this, outcome);
  }

  onThrown(thrown: unknown): void {
    this.onOutcome({ kind: 'unknown', text: describeThrown(thrown) });
  }
}

/** A log that throws or rejects, against its law, has said nothing of what became of the record. */
function sendTo(log: CommitLog, append: LogAppend, sent: SentRecord): void {
  try {
    if (log.send !== undefined) return log.send(append, sent);
    void log.append(append).then(
      (outcome) => sent.onOutcome(outcome),
      (thrown: unknown) => sent.onThrown(thrown),
    );
  } catch (thrown) {
    sent.onThrown(thrown);
  }
}

function headAfter({ kind, head, author, draft }: RecordParts, sequence: number, body: Uint8Array): StreamHead {
  const version = head.version + (kind === 'state' ? 1 : draft.events.length);
  return { sequence, version, epoch: author.epoch, owner: author.owner, hash: digestHex(body), ended: kind === 'tombstone' };
}
