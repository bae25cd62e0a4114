import type { StandardSchemaV1 } from '@standard-schema/spec';
import { PerkeyError } from '../base/errors.ts';
import { fnv1a } from '../base/hash.ts';
import type { AggregateDefinition, AggregateImplementation } from './aggregate.ts';
import { checkAggregate } from './checked-aggregate.ts';
import type { CheckedAggregate } from './checked-aggregate.ts';
import type { EventSpecs } from './event-specs.ts';
import { handleClasses, makeHandleClasses } from './handle-classes.ts';
import type { HandleClasses } from './handle-classes.ts';
import type { Implementation, KeptImplementation } from './implementation.ts';
import type { AnyContract, ErrorSpecs, MethodSpec, MethodSpecs } from './method-spec.ts';
import { checkMethodName, checkName } from './names.ts';

/** What callers and hosts share. Holds no code of the host, so a thin client may import it alone. */
export interface ActorContract<Methods extends MethodSpecs = MethodSpecs, Errors extends ErrorSpecs = ErrorSpecs> extends AnyContract {
  readonly methods: Methods;
  readonly errors: Errors;
  /**
   * Binds handlers and options to the contract, for a node's `actors`. They are checked when the node starts. The type of the state is taken from
   * `state`; an object that spreads another one has to say it: `host<State>({ ...more, ... })`.
   */
  host<State, TimerName extends string = never>(
    implementation: KeptImplementation<{ readonly methods: Methods; readonly errors: Errors }, State, TimerName>,
  ): ActorDefinition;
  host<State, TimerName extends string = never>(
    implementation: Implementation<{ readonly methods: Methods; readonly errors: Errors }, State, TimerName>,
  ): ActorDefinition;
  /**
   * Binds commands, events and options to the contract: an actor whose state is a fold of its events, which a store keeps. Throws
   * `contract.invalid` for a malformed name, a version without its upcasters, or a method without its handler.
   */
  aggregate<State, const Events extends EventSpecs, TimerName extends string = never>(
    implementation: AggregateImplementation<{ readonly methods: Methods; readonly errors: Errors }, State, Events, TimerName>,
  ): AggregateDefinition<{ readonly methods: Methods; readonly errors: Errors }, State, Events>;
}

/** One entry of a node's `actors`. */
export interface ActorDefinition {
  readonly contract: AnyContract;
  /** Checked by the node that hosts it. */
  readonly implementation: Readonly<Record<string, unknown>>;
  /** There for an aggregate. */
  readonly aggregate?: CheckedAggregate;
}

export interface ContractOptions<Errors extends ErrorSpecs> {
  /** Errors that handlers may throw with `ctx.error`: code and schema of the data. */
  readonly errors?: Errors;
  /** Default: a hash of the names and flags. */
  readonly version?: string;
}

/** Throws `contract.invalid` for a malformed or reserved name, or a method that is not described as `MethodSpec` says. */
export function defineActor<const Methods extends MethodSpecs, const Errors extends ErrorSpecs = {}>(
  type: string,
  methods: Methods,
  options: ContractOptions<Errors> = {},
): ActorContract<Methods, Errors> {
  checkName('actor type', type);
  for (const [name, spec] of Object.entries(methods)) checkMethod(type, name, spec);
  const errors = (options.errors ?? {}) as Errors;
  for (const [code, schema] of Object.entries(errors)) {
    checkName(`error code of actor ${type}:`, code);
    checkSchema(type, `error ${code}`, schema);
  }
  return new DefinedActor(type, methods, errors, options.version ?? versionOf(type, methods, errors));
}

class DefinedActor<Methods extends MethodSpecs, Errors extends ErrorSpecs> implements ActorContract<Methods, Errors> {
  readonly type: string;
  readonly methods: Methods;
  readonly errors: Errors;
  readonly version: string;
  #handles: HandleClasses | undefined;

  constructor(type: string, methods: Methods, errors: Errors, version: string) {
    this.type = type;
    this.methods = methods;
    this.errors = errors;
    this.version = version;
    Object.freeze(this);
  }

  get [handleClasses](): HandleClasses {
    return (this.#handles ??= makeHandleClasses(this));
  }

  host(implementation: Readonly<Record<string, unknown>>): ActorDefinition {
    return Object.freeze({ contract: this, implementation });
  }

  aggregate<State, const Events extends EventSpecs, TimerName extends string = never>(
    implementation: AggregateImplementation<{ readonly methods: Methods; readonly errors: Errors }, State, Events, TimerName>,
  ): AggregateDefinition<{ readonly methods: Methods; readonly errors: Errors }, State, Events> {
    const source = implementation as object as Readonly<Record<string, unknown>>;
    return Object.freeze({ contract: this, implementation: source, aggregate: checkAggregate(this, source) });
  }
}

const specFields: ReadonlySet<string> = new Set(['input', 'output', 'readonly', 'idempotent']);

function checkMethod(type: string, name: string, spec: MethodSpec): void {
  checkMethodName(type, name);
  if (typeof spec !== 'object' || spec === null) throw invalid(type, `method ${name} is not an object`);
  for (const field of Object.keys(spec)) {
    if (!specFields.has(field)) throw invalid(type, `method ${name} has no setting "${field}"`);
  }
  if (spec.input !== undefined) checkSchema(type, `the input of method ${name}`, spec.input);
  if (spec.output !== undefined) checkSchema(type, `the output of method ${name}`, spec.output);
}

function checkSchema(type: string, what: string, schema: StandardSchemaV1): void {
  // Schemas may be functions (arktype).
  const isSchema = typeof (schema as { '~standard'?: { validate?: unknown } } | undefined)?.['~standard']?.validate === 'function';
  if (!isSchema) throw invalid(type, `${what} is not a Standard Schema`);
}

function invalid(type: string, what: string): PerkeyError {
  return new PerkeyError('contract.invalid', `actor ${type}: ${what}`);
}

function versionOf(type: string, methods: MethodSpecs, errors: ErrorSpecs): string {
  const lines = Object.entries(methods).map(([name, spec]) =>
    [name, spec.input !== undefined, spec.output !== undefined, spec.readonly === true, spec.idempotent === true].join(),
  );
  const text = JSON.stringify([type, lines.sort(), Object.keys(errors).sort()]);
  return fnv1a(text).toString(16).padStart(8, '0');
}
