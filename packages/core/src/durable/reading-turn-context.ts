import type { Activation } from '../actor/activation.ts';
import type { ContextServices } from '../actor/context-services.ts';
import { TurnContext } from '../actor/turn-context.ts';
import type { InboundRequest } from '../contract/calls.ts';
import { DurableTurnContext, type RemindersOf } from './durable-turn-context.ts';

/** The context of a turn that may not change the state: it sees a frozen one. What its code would change is a `TypeError` there and then. */
export class ReadingTurnContext extends DurableTurnContext {
  readonly #viewOf: (activation: Activation) => unknown;

  constructor(
    activation: Activation,
    request: InboundRequest | undefined,
    services: ContextServices,
    remindersOf: RemindersOf,
    viewOf: (activation: Activation) => unknown,
  ) {
    super(activation, request, services, false, remindersOf);
    this.#viewOf = viewOf;
  }

  override get state(): unknown {
    return this.#viewOf(TurnContext.activationOf(this));
  }

  override set state(_state: unknown) {
    DurableTurnContext.mustChange(this, 'another ctx.state');
  }
}
