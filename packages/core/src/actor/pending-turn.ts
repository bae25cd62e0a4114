import type { InboundRequest } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { TurnContext } from './turn-context.ts';

/** A turn or lifecycle hook whose promise has not settled. */
export class PendingTurn {
  readonly activation: Activation;
  /** What it is, for logs: a method, `timer.<name>`, `onActivate` or `onDeactivate`. */
  readonly name: string;
  readonly ctx: TurnContext;
  readonly request: InboundRequest | undefined;
  readonly startedAt: number;
  /** Monotonic ms; `Infinity`: no limit. */
  readonly timesOutAt: number;
  /** Called when the time limit passed. */
  readonly onTimeout: (turn: PendingTurn) => void;
  /** The actor left this node: whatever the turn comes to is ignored. */
  abandoned = false;
  /** Its time limit passed and its caller was told so. */
  timedOut = false;
  /** The deadline of its request passed and its signal was told so. */
  overdue = false;
  /** Links of `TurnWatch`. */
  watched = false;
  previous: PendingTurn | undefined = undefined;
  next: PendingTurn | undefined = undefined;

  constructor(
    activation: Activation,
    name: string,
    ctx: TurnContext,
    request: InboundRequest | undefined,
    startedAt: number,
    onTimeout: (turn: PendingTurn) => void,
  ) {
    this.activation = activation;
    this.name = name;
    this.ctx = ctx;
    this.request = request;
    this.startedAt = startedAt;
    const { turnTimeoutMs } = activation.type.definition;
    this.timesOutAt = turnTimeoutMs === 0 ? Infinity : startedAt + turnTimeoutMs;
    this.onTimeout = onTimeout;
  }
}
