import { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { safeText } from '../base/log-text.ts';
import { nameForm } from '../base/name-form.ts';
import type { ReadModel } from '../contract/read-model.ts';
import type { StoredEvent } from './stored-event.ts';

/** What becomes of an event whose handler throws, when it has been tried often enough. */
export type AfterRetries = 'stop' | 'dead-letter';

export interface RetryPolicy {
  /** Attempts of one event, the first included. */
  readonly attemptsMax: number;
  /** Before the second attempt; twice as long before each further one. */
  readonly delayMs: number;
  readonly delayMaxMs: number;
  readonly afterwards: AfterRetries;
}

/**
 * `stop`: the projection stands still at the event until it is started anew. `skip`: it goes on with the next one; the event is logged and counted.
 * With a policy the event is tried again; then the projection stops, or the event is put among the dead letters.
 */
export type ErrorStrategy = 'stop' | 'skip' | RetryPolicy;

export interface ProjectionContext<Tx> {
  readonly projection: string;
  /** Which build of the read model this is: name its tables by it, so that one is built beside the other. From 1. */
  readonly generation: number;
  /** False for what was in the store before this generation began: side effects belong into `if (ctx.live)`. */
  readonly live: boolean;
  /** The transaction that also takes the checkpoint; undefined for a projection without `readModel`. */
  readonly tx: Tx;
  readonly log: Logger;
  /** Aborts when this node must not go on: another one may be at work already. */
  readonly signal: AbortSignal;
}

/**
 * Follows the events of a store, in their order, one at a time. Without a read model each event is handled at least once: after a crash those since
 * the last checkpoint come again, and a handler that must not count twice compares `event.position`. With one, each counts exactly once.
 */
export interface ProjectionDefinition<Tx = undefined> {
  /** Of the form of an actor type's name. */
  readonly name: string;
  /** Another number than before: the read model is built anew from zero, beside the live one, which is switched off when the new one has caught up. Default 1. */
  readonly version?: number;
  /** Only events of these actor types. */
  readonly types?: readonly string[];
  /** Only events of these names. */
  readonly events?: readonly string[];
  /** Events between two checkpoints, and in one transaction; 1 to 10,000. Default 100. Without a read model a batch is handled while the checkpoint of
   * the one before is saved, so that up to twice as many may come again. */
  readonly batchMax?: number;
  /** Must be synchronous where there is a read model. */
  handle(event: StoredEvent, ctx: ProjectionContext<Tx>): void | PromiseLike<void>;
  readonly readModel?: ReadModel<Tx>;
  /** Default: five attempts from 100 ms on, at most 5 s apart, then stop. */
  readonly onError?: ErrorStrategy;
  /** A generation became the live one. Those before it are over. May run more than once. */
  onSwitch?(generation: number, log: Logger): void | PromiseLike<void>;
}

/** A definition after its check, with the defaults filled in: one entry of a node's `projections`. */
export interface Projection {
  readonly name: string;
  readonly version: number;
  readonly types: readonly string[] | undefined;
  readonly events: readonly string[] | undefined;
  readonly batchMax: number;
  readonly handle: (event: StoredEvent, ctx: ProjectionContext<unknown>) => unknown;
  readonly readModel: ReadModel<unknown> | undefined;
  readonly onError: ErrorStrategy;
  readonly onSwitch: ((generation: number, log: Logger) => unknown) | undefined;
}

const usualRetry: RetryPolicy = { attemptsMax: 5, delayMs: 100, delayMaxMs: 5_000, afterwards: 'stop' };
const fields: ReadonlySet<string> = new Set([
  'name',
  'version',
  'types',
  'events',
  'batchMax',
  'handle',
  'readModel',
  'onError',
  'onSwitch',
]);

/** For a node's `projections`. Throws `options.invalid`, which names the projection, the option, its value and what it may be. */
export function defineProjection<Tx>(definition: ProjectionDefinition<Tx>): Projection {
  const { name, version = 1, types, events, batchMax = 100, onError = usualRetry } = definition;
  if (typeof name !== 'string' || !nameForm.test(name)) throw invalid('', 'name', name, `of the form ${nameForm.source}`);
  for (const field of Object.keys(definition))
    if (!fields.has(field)) throw invalid(name, field, 'set', 'left out: there is no such option');
  checkWhole(name, 'version', version, 1_000_000);
  checkWhole(name, 'batchMax', batchMax, 10_000);
  for (const [option, list] of [
    ['types', types],
    ['events', events],
  ] as const) {
    if (list !== undefined && !list.every((one) => typeof one === 'string')) throw invalid(name, option, list, 'a list of names');
  }
  if (typeof definition.handle !== 'function') throw invalid(name, 'handle', definition.handle, 'a function');
  checkStrategy(name, onError);
  // What the transaction is, only the definition itself knows.
  const untyped = definition as unknown as ProjectionDefinition<unknown>;
  return {
    ...{ name, version, types, events, batchMax, onError },
    handle: untyped.handle.bind(untyped),
    readModel: untyped.readModel,
    onSwitch: untyped.onSwitch?.bind(untyped),
  };
}

function checkStrategy(name: string, strategy: ErrorStrategy): void {
  if (strategy === 'stop' || strategy === 'skip') return;
  if (typeof strategy !== 'object' || strategy === null) throw invalid(name, 'onError', strategy, "'stop', 'skip' or a retry policy");
  checkWhole(name, 'onError.attemptsMax', strategy.attemptsMax, 1_000_000);
  checkWhole(name, 'onError.delayMs', strategy.delayMs, 3_600_000);
  checkWhole(name, 'onError.delayMaxMs', strategy.delayMaxMs, 86_400_000);
  if (strategy.afterwards !== 'stop' && strategy.afterwards !== 'dead-letter') {
    throw invalid(name, 'onError.afterwards', strategy.afterwards, "'stop' or 'dead-letter'");
  }
}

function checkWhole(name: string, option: string, value: unknown, max: number): void {
  const isGood = Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max;
  if (!isGood) throw invalid(name, option, value, `a whole number from 1 to ${max}`);
}

function invalid(name: string, option: string, value: unknown, bounds: string): PerkeyError {
  const of = name === '' ? 'of a projection' : `of projection ${name}`;
  return new PerkeyError('options.invalid', `option ${option} ${of} is ${safeText(value, 80)}, but must be ${bounds}`, {
    details: { option },
  });
}
