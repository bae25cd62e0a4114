import type { PerkeyError } from '../base/errors.ts';
import type { InboundRequest } from '../contract/calls.ts';
import type { Activation } from './activation.ts';
import type { HostedMethod } from './actor-type.ts';
import type { DurableTurn, OutcomeListener } from './durability.ts';
import { PendingTurn } from './pending-turn.ts';
import type { TurnContext } from './turn-context.ts';

/** What is done about turns that wait; one object for all of them. */
export interface TurnEnds {
  readonly onTimeout: (turn: PendingTurn) => void;
  readonly onValue: (turn: WaitingTurn, value: unknown) => void;
  readonly onThrown: (turn: WaitingTurn, thrown: unknown) => void;
}

/** A turn whose outcome is on its way. It listens for it itself, so that a wait costs one object. */
export class WaitingTurn extends PendingTurn implements OutcomeListener {
  readonly method: HostedMethod;
  readonly #ends: TurnEnds;
  /** What it came to, once it has settled. */
  error: PerkeyError | undefined = undefined;
  value: unknown = undefined;

  constructor(
    activation: Activation,
    method: HostedMethod,
    ctx: TurnContext,
    request: InboundRequest | undefined,
    startedAt: number,
    ends: TurnEnds,
  ) {
    super(activation, method.name, ctx, request, startedAt, ends.onTimeout);
    this.method = method;
    this.#ends = ends;
  }

  onValue(value: unknown): void {
    this.#ends.onValue(this, value);
  }

  onThrown(thrown: unknown): void {
    this.#ends.onThrown(this, thrown);
  }
}

/** A request to a durable actor, as its `Durability` runs it. */
export class RequestTurn implements DurableTurn {
  readonly activation: Activation;
  readonly ctx: TurnContext;
  readonly request: InboundRequest;
  readonly method: HostedMethod;
  readonly #run: (turn: RequestTurn) => unknown;

  constructor(
    activation: Activation,
    ctx: TurnContext,
    request: InboundRequest,
    method: HostedMethod,
    run: (turn: RequestTurn) => unknown,
  ) {
    this.activation = activation;
    this.ctx = ctx;
    this.request = request;
    this.method = method;
    this.#run = run;
  }

  call(): unknown {
    return this.#run(this);
  }
}
