import { PerkeyError } from '@perkey/core';
import { digestName } from '@perkey/core/internal';
import { unavailable } from '../store-api.ts';
import type { AppendChannel, AppendTarget } from './append-channel.ts';
import { eraseMessage, getMessage, lastSequence } from './store-link.ts';
import type { StoreLink } from './store-link.ts';
import type { LogNames } from './store-names.ts';

/** Another process under the same node id may append under the same subject. */
const attemptsMax = 3;
/** Former barriers that could not be removed yet. */
const leftMax = 16;

const nothing = new Uint8Array(0);

export interface BarrierParts {
  readonly link: StoreLink;
  readonly channel: AppendChannel;
  readonly names: LogNames;
  readonly target: AppendTarget;
  readonly refusal: () => string | undefined;
}

/** Where the barriers of all nodes lie: no actor type has such a name. */
export function barrierPrefix({ prefix }: LogNames): string {
  return `${prefix}=barrier.`;
}

/**
 * Barriers of a log of several copies: empty messages under a subject of the node's own, of which the last one stays.
 *
 * Invariant: a barrier is appended after it was asked for. Its sequence was agreed on by most of the copies, so that everything that was
 * acknowledged before lies below, and a copy that has reached it holds all of that.
 */
export class LogBarrier {
  readonly #parts: BarrierParts;
  readonly #subject: string;
  /** Under way: it may have been sent before who asks now did. */
  #running: Promise<number> | undefined;
  /** Not yet sent. */
  #next: Promise<number> | undefined;
  #head = 0;
  #left: number[] = [];

  constructor(parts: BarrierParts) {
    this.#parts = parts;
    this.#subject = barrierPrefix(parts.names) + digestName(parts.link.environment.nodeId);
  }

  /** Rejects with `store.unavailable` or `store.full`. */
  ask(): Promise<number> {
    const running = this.#running;
    if (running === undefined) return this.#start();
    this.#next ??= running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<number> {
    this.#next = undefined;
    const running = this.#set();
    this.#running = running;
    const ended = (): void => {
      if (this.#running === running) this.#running = undefined;
    };
    running.then(ended, ended);
    return running;
  }

  async #set(): Promise<number> {
    const { link, channel, names, target, refusal } = this.#parts;
    await link.ready();
    // The only copy cannot lag behind itself.
    if (link.replicas === 1) return lastSequence(link, names.natsStream);
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      const text = refusal();
      if (text !== undefined) throw unavailable(text);
      const outcome = await channel.append(target, this.#subject, this.#head, nothing);
      if (outcome.kind === 'appended') return this.#appended(outcome.sequence);
      if (outcome.kind === 'refused' && outcome.reason === 'full') throw new PerkeyError('store.full', outcome.text, { executed: 'no' });
      if (outcome.kind !== 'conflict') throw unavailable(outcome.text);
      await this.#takeOver();
    }
    throw unavailable('another process sets barriers under the id of this node');
  }

  /** What a former process left under the id of this node: the last one is followed, and those before it are removed. */
  async #takeOver(): Promise<void> {
    const { link, names } = this.#parts;
    const found: number[] = [];
    while (found.length <= leftMax) {
      const query = { seq: (found.at(-1) ?? 0) + 1, next_by_subj: this.#subject };
      const message = await getMessage(link, names.natsStream, query);
      if (message === undefined) break;
      found.push(message.sequence);
    }
    this.#head = found.pop() ?? 0;
    this.#left = found;
  }

  #appended(sequence: number): number {
    if (this.#head > 0) this.#left.push(this.#head);
    this.#head = sequence;
    void this.#clear();
    return sequence;
  }

  /** Never rejects: what stays takes little room, and is tried again with the next one. */
  async #clear(): Promise<void> {
    const { link, names } = this.#parts;
    const removed = new Set<number>();
    for (const sequence of this.#left) {
      try {
        await eraseMessage(link, names.natsStream, sequence);
        removed.add(sequence);
      } catch {
        break;
      }
    }
    this.#left = this.#left.filter((sequence) => !removed.has(sequence)).slice(-leftMax);
  }
}
