import { digestHex } from '../base/digest.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { Commit, StreamHead } from './commit.ts';

/**
 * Follows a stream record by record and says what does not fit: one writer at a time, whose epochs never fall; versions without a gap; a chain
 * of hashes without a break. Where records were trimmed a tombstone is the first one.
 */
export class StreamCheck {
  readonly #stream: StreamName;
  readonly #chains: boolean;
  #sequence: number;
  #version: number;
  #epoch: number;
  #owner: string;
  #ended: boolean;
  /** Of the last record; computed when it is asked for. */
  #hash: string | undefined;
  #body: Uint8Array | undefined = undefined;

  /** `chains`: each record is held against the hash of the one before; else only the first one against `head`. */
  constructor(stream: StreamName, head: StreamHead, chains: boolean) {
    this.#stream = stream;
    this.#chains = chains;
    this.#sequence = head.sequence;
    this.#version = head.version;
    this.#epoch = head.epoch;
    this.#owner = head.owner;
    this.#ended = head.ended;
    this.#hash = head.hash;
  }

  /** After the last record that was taken. */
  get head(): StreamHead {
    return {
      sequence: this.#sequence,
      version: this.#version,
      epoch: this.#epoch,
      owner: this.#owner,
      hash: this.#lastHash(),
      ended: this.#ended,
    };
  }

  /** What is wrong with the next record, if anything. It is taken all the same, so that one fault is reported once. */
  take(commit: Commit): string | undefined {
    const problem = this.#problem(commit);
    this.#sequence = commit.sequence;
    this.#version = commit.version;
    this.#epoch = Math.max(this.#epoch, commit.epoch);
    this.#owner = commit.owner;
    this.#ended = commit.kind === 'tombstone';
    this.#hash = undefined;
    this.#body = commit.body;
    return problem;
  }

  #problem(commit: Commit): string | undefined {
    const { type, key } = this.#stream;
    const { kind, version, epoch, events } = commit;
    if (commit.type !== type || commit.key !== key) return 'it is of another stream';
    if (kind === 'state') return 'it is a state, among events';
    if (kind !== 'commit' && events.length > 0) return `a ${kind} holds events`;
    if (this.#ended) return 'it stands behind a tombstone';
    if (epoch < this.#epoch) return `its epoch ${epoch} lies before ${this.#epoch}`;
    if (this.#sequence === 0 && kind === 'tombstone') return undefined;
    if (version - events.length !== this.#version) return `it begins behind version ${version - events.length}, not ${this.#version}`;
    const isHeld = this.#chains || this.#body === undefined;
    return isHeld && commit.previousHash !== this.#lastHash() ? 'it does not follow the record before it' : undefined;
  }

  #lastHash(): string {
    return (this.#hash ??= this.#body === undefined ? '' : digestHex(this.#body));
  }
}
