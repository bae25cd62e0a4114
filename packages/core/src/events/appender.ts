import type { Clock } from '../base/clock.ts';
import { digestHex } from '../base/digest.ts';
import { describeThrown, PerkeyError } from '../base/errors.ts';
import { shardOf } from '../base/hash.ts';
import type { AppendOutcome, CommitLog } from '../contract/commit-log.ts';
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
    const { log, clock, metrics, shards } = this.#parts;
    const { stream, head, author } = record;
    const known = this.#refusal(record);
    if (known !== undefined) return Promise.resolve(this.#counted(known));
    let body: Uint8Array;
    try {
      body = this.#writer.write(record);
    } catch (thrown) {
      return Promise.resolve(this.#counted(refused(thrown as PerkeyError)));
    }
    const start = clock.now();
    const sent = answered(() =>
      log.append({ stream, shard: shardOf(stream.key, shards), expectedSequence: head.sequence, epoch: author.epoch, body }),
    );
    return sent.then((outcome) => {
      metrics.appendSeconds.observe((clock.now() - start) / 1_000);
      return this.#counted(this.#result(record, body, outcome));
    });
  }

  #refusal({ head, author, draft }: RecordParts): AppendResult | undefined {
    if (head.ended) return refused(new PerkeyError('stream.tombstoned', 'The stream has ended with a tombstone; nothing can be appended.'));
    if (head.epoch > author.epoch) return { kind: 'fenced', owner: head.owner, epoch: head.epoch };
    const { eventsMax } = this.#parts;
    if (draft.events.length <= eventsMax) return undefined;
    return refused(new PerkeyError('commit.too_large', `The commit has ${draft.events.length} events, ${eventsMax} are allowed.`));
  }

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

  #counted(result: AppendResult): AppendResult {
    this.#parts.metrics.appendEnded(result.kind);
    return result;
  }
}

/** A log that rejects, against its law, has said nothing of what became of the record. */
function answered(append: () => Promise<AppendOutcome>): Promise<AppendOutcome> {
  const unknown = (thrown: unknown): AppendOutcome => ({ kind: 'unknown', text: describeThrown(thrown) });
  try {
    return append().catch(unknown);
  } catch (thrown) {
    return Promise.resolve(unknown(thrown));
  }
}

function headAfter({ kind, head, author, draft }: RecordParts, sequence: number, body: Uint8Array): StreamHead {
  const version = head.version + (kind === 'state' ? 1 : draft.events.length);
  return { sequence, version, epoch: author.epoch, owner: author.owner, hash: digestHex(body), ended: kind === 'tombstone' };
}
