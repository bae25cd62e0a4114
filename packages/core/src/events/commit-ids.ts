import { digestName } from '../base/digest.ts';
import type { Random } from '../base/random.ts';
import type { StreamName } from '../contract/commit-log.ts';

/** Names commits. */
export class CommitIds {
  /** Never drawn twice. */
  readonly #prefix: string;
  #count = 0;

  constructor(random: Random) {
    this.#prefix = random.hex(8);
  }

  /** An id for a commit whose command carries no idempotency key. */
  newCommitId(): string {
    this.#count += 1;
    return `${this.#prefix}${this.#count.toString(36)}`;
  }

  /** The id for a commit of a command with an idempotency key: the same at each repeat, so that its events have the same ids. */
  commitId(stream: StreamName, method: string, caller: string, idempotencyKey: string): string {
    return digestName(JSON.stringify([stream.type, stream.key, method, caller, idempotencyKey])).slice(0, 22);
  }
}
