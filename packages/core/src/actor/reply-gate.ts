import type { PerkeyError } from '../base/errors.ts';
import type { Guard, InboundRequest } from '../contract/calls.ts';
import type { ReplyOutcome } from './packed-reply.ts';
import { abandoned } from './refusals.ts';
import type { ShardSlot } from './shard-slot.ts';

interface Withheld {
  readonly slot: ShardSlot;
  readonly request: InboundRequest;
  readonly outcome: ReplyOutcome;
}

/** I5: what a handler came to leaves only while the guard lets this node act, read at the end of its turn; otherwise it waits here. */
export class ReplyGate {
  readonly #guard: Guard;
  #withheld: Withheld[] = [];

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  get withheld(): number {
    return this.#withheld.length;
  }

  ok(slot: ShardSlot, request: InboundRequest, value: unknown, now: number): void {
    if (this.#isOpen(now)) request.reply.ok(request.id, value, now);
    else this.#withheld.push({ slot, request, outcome: { kind: 'ok', value } });
  }

  error(slot: ShardSlot, request: InboundRequest, error: PerkeyError, now: number): void {
    if (this.#isOpen(now)) request.reply.error(request.id, error);
    else this.#withheld.push({ slot, request, outcome: { kind: 'error', error } });
  }

  /** Nothing overtakes what was withheld. */
  #isOpen(now: number): boolean {
    if (!this.#guard.mayAct(now)) return false;
    if (this.#withheld.length > 0) this.flush(now);
    return true;
  }

  /** Sends what was withheld, in order, as far as the guard allows it. */
  flush(now: number): void {
    if (this.#withheld.length === 0 || !this.#guard.mayAct(now)) return;
    const ready = this.#withheld;
    this.#withheld = [];
    for (const { request, outcome } of ready) {
      if (outcome.kind === 'ok') request.reply.ok(request.id, outcome.value, now);
      else request.reply.error(request.id, outcome.error);
    }
  }

  /** The shard is lost: nobody may be told what these turns came to. */
  drop(slot: ShardSlot): void {
    const dropped = this.#withheld.filter((entry) => entry.slot === slot);
    if (dropped.length === 0) return;
    this.#withheld = this.#withheld.filter((entry) => entry.slot !== slot);
    for (const { request } of dropped) request.reply.error(request.id, abandoned());
  }
}
