import { PerkeyError } from '../base/errors.ts';
import type { CheckedAggregate } from './checked-aggregate.ts';
import type { ActorDefinition } from './definition.ts';
import { checkName } from './names.ts';
import type { ActorSettings } from './settings.ts';

type HandlerFunction = (ctx: unknown, input: unknown) => unknown;

/** What a store keeps of the actors of a type: their events, or their state. */
export type Durable =
  | { readonly kind: 'events'; readonly aggregate: CheckedAggregate; readonly snapshotEvery: number | undefined }
  | { readonly kind: 'state' };

/** A definition after its check, with the node's defaults filled in. Functions are bound to the implementation object. */
export interface HostedDefinition {
  readonly createState: (key: string) => unknown;
  readonly handlers: ReadonlyMap<string, HandlerFunction>;
  readonly timers: ReadonlyMap<string, HandlerFunction>;
  readonly defaultHandler: HandlerFunction | undefined;
  readonly onActivate: HandlerFunction | undefined;
  readonly onDeactivate: HandlerFunction | undefined;
  readonly passivateAfterMs: number | undefined;
  readonly mailboxMax: number;
  readonly turnTimeoutMs: number;
  readonly idempotency: { readonly countMax: number; readonly ageMs: number; readonly entriesMax: number };
  readonly checkOutputs: boolean;
  /** Undefined: nothing is stored. */
  readonly durable: Durable | undefined;
}

const week = 604_800_000;

/** Throws `contract.invalid`, which names the type and what is wrong. */
export function checkDefinition(definition: ActorDefinition, settings: ActorSettings): HostedDefinition {
  const { contract, implementation, aggregate } = definition;
  const reader = new DefinitionReader(contract.type, implementation);
  const behaviour = aggregate === undefined ? hostedBehaviour(definition, reader) : aggregateBehaviour(aggregate, reader);
  const checked: HostedDefinition = {
    ...behaviour,
    timers: reader.timers(),
    onActivate: reader.optional('onActivate'),
    onDeactivate: reader.optional('onDeactivate'),
    passivateAfterMs: reader.number('passivateAfterMs', 1, week * 52) ?? (behaviour.durable && settings.passivateAfterMs),
    mailboxMax: reader.number('mailboxMax', 1, 10_000_000) ?? settings.mailboxMax,
    turnTimeoutMs: reader.number('turnTimeoutMs', 0, week) ?? settings.turnTimeoutMs,
    idempotency: reader.idempotency(settings),
    checkOutputs: reader.flag('checkOutputs') ?? settings.checkOutputs,
  };
  reader.refuseTheRest();
  return checked;
}

type Behaviour = Pick<HostedDefinition, 'createState' | 'handlers' | 'defaultHandler' | 'durable'>;

function hostedBehaviour({ contract }: ActorDefinition, reader: DefinitionReader): Behaviour {
  const handlers = new Map<string, HandlerFunction>();
  for (const name of Object.keys(contract.methods)) handlers.set(name, reader.required(name));
  return {
    createState: reader.required('state') as (key: unknown) => unknown,
    handlers,
    defaultHandler: reader.optional('defaultHandler'),
    durable: reader.persist() ? { kind: 'state' } : undefined,
  };
}

function aggregateBehaviour(aggregate: CheckedAggregate, reader: DefinitionReader): Behaviour {
  reader.skip('initial', 'events', 'evolve', 'upcasters', 'commands', 'queries', 'stateVersion');
  const snapshotEvery = reader.number('snapshotEvery', 0, 1_000_000);
  const { initial, handlers } = aggregate;
  return { createState: initial, handlers, defaultHandler: undefined, durable: { kind: 'events', aggregate, snapshotEvery } };
}

class DefinitionReader {
  readonly #type: string;
  readonly #source: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();

  constructor(type: string, source: Readonly<Record<string, unknown>>) {
    this.#type = type;
    this.#source = source;
    if (typeof source !== 'object' || source === null) throw this.#invalid('host() and aggregate() take an object');
  }

  #invalid(what: string): PerkeyError {
    return new PerkeyError('contract.invalid', `actor ${this.#type}: ${what}`);
  }

  #take(name: string): unknown {
    this.#read.add(name);
    return this.#source[name];
  }

  optional(name: string): HandlerFunction | undefined {
    const value = this.#take(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'function') throw this.#invalid(`${name} is not a function`);
    return value.bind(this.#source) as HandlerFunction;
  }

  required(name: string): HandlerFunction {
    const found = this.optional(name);
    if (found === undefined) throw this.#invalid(`${name} is missing`);
    return found;
  }

  timers(): ReadonlyMap<string, HandlerFunction> {
    const given = this.#take('timers') ?? {};
    if (typeof given !== 'object') throw this.#invalid('timers is not an object');
    const timers = new Map<string, HandlerFunction>();
    for (const [name, run] of Object.entries(given)) {
      checkName(`timer name of actor ${this.#type}:`, name);
      if (typeof run !== 'function') throw this.#invalid(`timer ${name} is not a function`);
      timers.set(name, run.bind(given) as HandlerFunction);
    }
    return timers;
  }

  number(name: string, min: number, max: number): number | undefined {
    return this.#number(name, this.#take(name), min, max);
  }

  #number(name: string, value: unknown, min: number, max: number): number | undefined {
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= min && value <= max) return value;
    throw this.#invalid(`${name} is not a number from ${min} to ${max}`);
  }

  /** True for the state, which is all that `host` may ask to be kept. */
  persist(): boolean {
    const value = this.#take('persist');
    if (value !== undefined && value !== 'state') throw this.#invalid("persist is neither left out nor 'state'");
    return value === 'state';
  }

  /** Read elsewhere. */
  skip(...names: readonly string[]): void {
    for (const name of names) this.#read.add(name);
  }

  flag(name: string): boolean | undefined {
    const value = this.#take(name);
    if (value !== undefined && typeof value !== 'boolean') throw this.#invalid(`${name} is not true or false`);
    return value;
  }

  idempotency(settings: ActorSettings): HostedDefinition['idempotency'] {
    const given = this.#take('idempotency') ?? {};
    if (typeof given !== 'object') throw this.#invalid('idempotency is not an object');
    const { countMax, ageMs, ...rest } = given as Record<string, unknown>;
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) throw this.#invalid(`idempotency has no setting "${unknown}"`);
    return {
      countMax: this.#number('idempotency.countMax', countMax, 0, 1_000_000) ?? settings.idempotencyCountMax,
      ageMs: this.#number('idempotency.ageMs', ageMs, 0, week) ?? settings.idempotencyAgeMs,
      entriesMax: settings.idempotencyEntriesMax,
    };
  }

  refuseTheRest(): void {
    for (const name of Object.keys(this.#source)) {
      if (!this.#read.has(name)) throw this.#invalid(`"${name}" is neither a method of the contract nor an option`);
    }
  }
}
