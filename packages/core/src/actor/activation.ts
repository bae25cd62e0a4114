import type { InboundRequest } from '../contract/calls.ts';
import type { ActorTimer, Tick } from './timers.ts';
import { OwnTurn, type WakeTurn } from './own-turn.ts';
import type { ActorType } from './actor-type.ts';
import type { BackgroundTask } from './background.ts';
import type { RememberedReply } from './reply-window.ts';
import type { Ring } from './ring.ts';
import type { ShardSlot } from './shard-slot.ts';
import type { PendingTurn } from './pending-turn.ts';

/** What waits in a mailbox. */
export type Message = InboundRequest | Tick | WakeTurn;

/** `dormant`: in memory without having been activated here. `gone`: no longer resident. */
export type ActivationStatus = 'dormant' | 'activating' | 'idle' | 'running' | 'paused' | 'quarantined' | 'deactivating' | 'gone';

/** What most actors never have. */
export class ActivationExtras {
  replies: Map<string, RememberedReply> | undefined = undefined;
  timers: Map<string, ActorTimer> | undefined = undefined;
  background: Set<BackgroundTask> | undefined = undefined;
  /** Of a durable actor: what its `Durability` holds. */
  held: unknown = undefined;
  paused = false;
  wantsPassivation = false;
  /** Called once, when the turn under way has ended. */
  onTurnEnd: (() => void) | undefined = undefined;
}

/** The one in-memory incarnation of an actor. A million of them must fit: few fields, the rest is in `extras`. */
export class Activation {
  readonly type: ActorType;
  readonly key: string;
  readonly slot: ShardSlot;
  status: ActivationStatus = 'dormant';
  /** The state is there: made by the definition, or carried here. */
  hasState = false;
  /** In the scheduler's queue. */
  scheduled = false;
  state: unknown = undefined;
  /** Absent when nothing waits. */
  queue: Ring<Message> | undefined = undefined;
  /** The turn or hook that has not settled yet; for a quarantined actor the one that is given up. */
  pending: PendingTurn | undefined = undefined;
  extras: ActivationExtras | undefined = undefined;
  /** Whole ms of the monotonic clock; kept only where the definition allows passivation. */
  usedAt = 0;
  older: Activation | undefined = undefined;
  newer: Activation | undefined = undefined;

  constructor(type: ActorType, key: string, slot: ShardSlot) {
    this.type = type;
    this.key = key;
    this.slot = slot;
  }

  get address(): string {
    return `${this.type.name}/${this.key}`;
  }

  get waiting(): number {
    return this.queue === undefined ? 0 : this.queue.length;
  }

  /** Asks for the extras in order to put something in. */
  get own(): ActivationExtras {
    return (this.extras ??= new ActivationExtras());
  }

  /** The status between two turns. */
  rest(): void {
    this.status = this.extras !== undefined && this.extras.paused ? 'paused' : 'idle';
  }

  /** What is in memory counts no more: the actor is as if it had just been addressed for the first time. */
  unload(): void {
    this.status = 'dormant';
    this.hasState = false;
    this.state = undefined;
  }

  /** Somebody waits for what is in the mailbox. Nobody does for one-way messages, which bring no chain, nor for turns that nobody asked for. */
  get isAwaited(): boolean {
    return this.queue !== undefined && this.queue.some((message) => !(message instanceof OwnTurn) && message.chain.length > 0);
  }

  /** Has work that a move of the shard waits for. A quarantined turn is not waited for: it was given up already. */
  get busy(): boolean {
    const { status } = this;
    if (status === 'running' || status === 'activating' || status === 'deactivating') return true;
    if (this.queue !== undefined && (status === 'idle' || status === 'dormant')) return true;
    return this.extras !== undefined && this.extras.background !== undefined;
  }
}
