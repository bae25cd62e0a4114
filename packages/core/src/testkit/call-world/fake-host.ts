import { bareError } from '../../base/bare-error.ts';
import type { InboundRequest } from '../../contract/calls.ts';
import type { Wires } from './wires.ts';

/** What a caller puts into its calls, and gets back. */
export interface Mark {
  readonly caller: string;
  readonly n: number;
}

export interface Execution extends Mark {
  readonly key: string;
  readonly at: number;
  readonly by: string;
}

interface Turn {
  readonly shard: number;
  readonly request: InboundRequest;
}

/** Executes requests one after the other per key, and writes down what it did. */
export class FakeHost {
  readonly #wires: Wires;
  readonly #name: string;
  readonly #log: Execution[];
  readonly #open = new Set<number>();
  readonly #waiting = new Map<string, Turn[]>();
  #isDead = false;

  constructor(wires: Wires, name: string, log: Execution[]) {
    this.#wires = wires;
    this.#name = name;
    this.#log = log;
  }

  openShard(shard: number): void {
    this.#open.add(shard);
  }

  cancel(): void {}

  isLeaving(): boolean {
    return false;
  }

  leavingEpoch(): undefined {}

  admitTogether(admitAll: () => void): void {
    admitAll();
  }

  admit(shard: number, request: InboundRequest): void {
    if (this.#isDead) return;
    const { key, id, reply } = request;
    if (!this.#open.has(shard)) return reply.error(id, moved());
    if (this.#wires.chance(0.02)) return reply.error(id, bareError('mailbox.full', 'full'));
    const queue = this.#waiting.get(key);
    if (queue) {
      queue.push({ shard, request });
      return;
    }
    this.#waiting.set(key, [{ shard, request }]);
    this.#begin(key);
  }

  /** Refuses what waits; resolves when nothing of the shard runs. */
  closeShard(shard: number, closed: () => void): void {
    this.#open.delete(shard);
    for (const queue of this.#waiting.values()) {
      if (queue[0]?.shard !== shard) continue;
      for (const { request } of queue.splice(1)) request.reply.error(request.id, moved());
    }
    const look = (): void => {
      if (this.#isDead) return;
      const isBusy = [...this.#waiting.values()].some(([turn]) => turn?.shard === shard);
      if (isBusy) this.#wires.clock.setTimer(1, look);
      else closed();
    };
    look();
  }

  die(): void {
    this.#isDead = true;
    this.#waiting.clear();
  }

  #begin(key: string): void {
    const turn = this.#waiting.get(key)?.[0];
    if (!turn) {
      this.#waiting.delete(key);
      return;
    }
    const { clock } = this.#wires;
    const { request } = turn;
    if (request.deadline <= clock.now()) {
      request.reply.error(request.id, bareError('request.expired', 'late'));
      this.#next(key);
      return;
    }
    const mark = request.input as Mark;
    this.#log.push({ ...mark, key, at: clock.now(), by: this.#name });
    if (this.#wires.chance(0.5)) this.#end(key, turn);
    else clock.setTimer(this.#wires.upTo(this.#wires.chance(0.05) ? 40 : 4), () => this.#end(key, turn));
  }

  #end(key: string, turn: Turn): void {
    if (this.#isDead || this.#waiting.get(key)?.[0] !== turn) return;
    const { request } = turn;
    if (this.#wires.chance(0.05)) request.reply.error(request.id, bareError('handler.failed', 'threw'));
    else request.reply.ok(request.id, request.input, 0);
    this.#next(key);
  }

  #next(key: string): void {
    this.#waiting.get(key)?.shift();
    this.#begin(key);
  }
}

function moved(): ReturnType<typeof bareError> {
  return bareError('shard.moved', 'not here');
}
