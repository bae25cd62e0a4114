import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { ErrorCode } from '../base/errors.ts';
import type { Counter, Histogram } from '../base/metrics.ts';
import type { ActorMetrics } from './actor-metrics.ts';
import type { Durability } from './durability.ts';
import type { HostedDefinition } from './hosted-definition.ts';
import type { AnyContract } from './method-spec.ts';
import { UseOrder } from './use-order.ts';
import { ReplyWindow } from './reply-window.ts';

type HandlerFunction = (ctx: unknown, input: unknown) => unknown;

/** How one turn ended, for the label `outcome`. */
export type TurnOutcome = 'ok' | 'replayed' | ErrorCode;

/** One method of a type on its node, with its instruments bound once. */
export class HostedMethod {
  readonly name: string;
  readonly run: HandlerFunction;
  readonly input: StandardSchemaV1.Props | undefined;
  readonly output: StandardSchemaV1.Props | undefined;
  /** What the handler returns goes to the caller. */
  readonly answers: boolean;
  /** The default handler: it gets the name of the method with the input. */
  readonly isFallback: boolean;
  /** It may change the state. */
  readonly changes: boolean;
  readonly ok: Counter;
  readonly seconds: Histogram;
  readonly #outcomes = new Map<TurnOutcome, Counter>();
  readonly #counterOf: (outcome: TurnOutcome) => Counter;

  constructor(
    parts: Pick<HostedMethod, 'name' | 'run' | 'input' | 'output' | 'answers' | 'isFallback' | 'changes'>,
    metrics: ActorMetrics,
    type: string,
    label: string,
  ) {
    this.name = parts.name;
    this.run = parts.run;
    this.input = parts.input;
    this.output = parts.output;
    this.answers = parts.answers;
    this.isFallback = parts.isFallback;
    this.changes = parts.changes;
    this.#counterOf = (outcome) => metrics.turns(type, label, outcome);
    this.ok = this.#counterOf('ok');
    this.seconds = metrics.turnSeconds(type, label);
  }

  count(outcome: TurnOutcome): void {
    if (outcome === 'ok') return this.ok.inc();
    let counter = this.#outcomes.get(outcome);
    if (counter === undefined) {
      counter = this.#counterOf(outcome);
      this.#outcomes.set(outcome, counter);
    }
    counter.inc();
  }
}

/** An actor type on its node: the checked definition, and what all its actors share. */
export class ActorType {
  readonly name: string;
  readonly contract: AnyContract;
  /** Position among the node's types. */
  readonly index: number;
  readonly definition: HostedDefinition;
  readonly methods: ReadonlyMap<string, HostedMethod>;
  readonly fallback: HostedMethod | undefined;
  readonly ticks: ReadonlyMap<string, HostedMethod>;
  /** What a durable actor does when it is woken: nothing but to be there. */
  readonly wake: HostedMethod | undefined;
  readonly order: UseOrder;
  readonly replies: ReplyWindow;
  /** Set once, before the first actor; undefined: the state of these actors lives in memory only. */
  durability: Durability | undefined = undefined;
  /** In-memory actors of the type. */
  resident = 0;
  #turns = 0;
  #turnMs = 0;

  constructor(index: number, contract: AnyContract, definition: HostedDefinition, metrics: ActorMetrics, onRemembered: () => void) {
    this.name = contract.type;
    this.contract = contract;
    this.index = index;
    this.definition = definition;
    this.order = new UseOrder(definition.passivateAfterMs);
    this.replies = new ReplyWindow(definition.idempotency, onRemembered);
    const methods = new Map<string, HostedMethod>();
    for (const [name, spec] of Object.entries(contract.methods)) {
      const run = definition.handlers.get(name) as HandlerFunction;
      const input = spec.input?.['~standard'];
      const output = definition.checkOutputs ? spec.output?.['~standard'] : undefined;
      methods.set(
        name,
        new HostedMethod(
          { name, run, input, output, answers: spec.output !== undefined, isFallback: false, changes: spec.readonly !== true },
          metrics,
          this.name,
          name,
        ),
      );
    }
    this.methods = methods;
    this.fallback = definition.defaultHandler && this.#plain('', definition.defaultHandler, metrics, 'other', true);
    const ticks = new Map<string, HostedMethod>();
    for (const [name, run] of definition.timers) ticks.set(name, this.#plain(name, run, metrics, `timer.${name}`, false));
    this.ticks = ticks;
    this.wake = definition.durable && this.#plain('wake', () => undefined, metrics, 'runtime.wake', false);
  }

  #plain(name: string, run: HandlerFunction, metrics: ActorMetrics, label: string, isFallback: boolean): HostedMethod {
    const parts = { name, run, input: undefined, output: undefined, answers: isFallback, isFallback, changes: true };
    return new HostedMethod(parts, metrics, this.name, label);
  }

  noteTurn(ms: number): void {
    this.#turns += 1;
    this.#turnMs += ms;
    // Old turns count less and less.
    if (this.#turns < 4_096) return;
    this.#turns *= 0.5;
    this.#turnMs *= 0.5;
  }

  /** When `waiting` turns should be through, from now: 1 ms to 30 s. */
  estimateMs(waiting: number): number {
    const mean = this.#turns === 0 ? 1 : this.#turnMs / this.#turns;
    return Math.min(30_000, Math.max(1, Math.ceil(mean * waiting)));
  }
}
