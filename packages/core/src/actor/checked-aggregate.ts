import type { StandardSchemaV1 } from '@standard-schema/spec';
import { PerkeyError } from '../base/errors.ts';
import type { EventFacts, Upcaster } from './event-specs.ts';
import type { AnyContract } from './method-spec.ts';
import { checkName } from './names.ts';

type HandlerFunction = (ctx: unknown, input: unknown) => unknown;
type Evolve = (state: unknown, data: unknown, event: EventFacts) => unknown;

/** One kind of event of an aggregate. */
export interface CheckedEvent {
  readonly name: string;
  readonly version: number;
  readonly schema: StandardSchemaV1.Props;
  readonly evolve: Evolve;
  /** The step from version n + 1 to n + 2 at index n; as many as the version is above 1. */
  readonly upcasters: readonly Upcaster[];
}

/** The part of an aggregate's definition that does not depend on a node. */
export interface CheckedAggregate {
  readonly initial: (key: string) => unknown;
  readonly events: ReadonlyMap<string, CheckedEvent>;
  readonly handlers: ReadonlyMap<string, HandlerFunction>;
  readonly stateVersion: number;
}

type Source = Readonly<Record<string, unknown>>;

/** Throws `contract.invalid`, which names the type and what is wrong: a name, a version, a step that is missing, a method without handler. */
export function checkAggregate(contract: AnyContract, implementation: Source): CheckedAggregate {
  const check = new AggregateCheck(contract, implementation);
  return Object.freeze({
    initial: check.function(implementation, 'initial') as (key: string) => unknown,
    events: check.events(),
    handlers: check.handlers(),
    stateVersion: check.version('stateVersion', implementation['stateVersion'] ?? 1),
  });
}

class AggregateCheck {
  readonly #contract: AnyContract;
  readonly #source: Source;

  constructor(contract: AnyContract, source: Source) {
    this.#contract = contract;
    this.#source = source;
    if (typeof source !== 'object' || source === null) throw this.#invalid('aggregate() takes an object');
  }

  #invalid(what: string): PerkeyError {
    return new PerkeyError('contract.invalid', `actor ${this.#contract.type}: ${what}`);
  }

  #object(name: string, isOptional = false): Source {
    const value = this.#source[name];
    if (value === undefined && isOptional) return {};
    if (typeof value !== 'object' || value === null) throw this.#invalid(`${name} is not an object`);
    return value as Source;
  }

  function(source: Source, name: string, where: string = name): (...args: never[]) => unknown {
    const value = Object.hasOwn(source, name) ? source[name] : undefined;
    if (value === undefined) throw this.#invalid(`${where} is missing`);
    if (typeof value !== 'function') throw this.#invalid(`${where} is not a function`);
    return value.bind(source) as (...args: never[]) => unknown;
  }

  version(what: string, value: unknown): number {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= 10_000) return value;
    throw this.#invalid(`${what} is not a whole number from 1 to 10000`);
  }

  events(): ReadonlyMap<string, CheckedEvent> {
    const { type } = this.#contract;
    const evolve = this.#object('evolve');
    const upcasters = this.#object('upcasters', true);
    const events = new Map<string, CheckedEvent>();
    for (const [name, spec] of Object.entries(this.#object('events'))) {
      checkName(`event name of actor ${type}:`, name);
      events.set(name, {
        name,
        ...this.#schema(name, spec),
        evolve: this.function(evolve, name, `evolve.${name}`) as Evolve,
        upcasters: [],
      });
    }
    this.#refuseOthers('evolve', evolve, events);
    this.#refuseOthers('upcasters', upcasters, events);
    for (const [name, event] of events) events.set(name, { ...event, upcasters: this.#steps(event, upcasters[name]) });
    return events;
  }

  #schema(name: string, spec: unknown): { readonly version: number; readonly schema: StandardSchemaV1.Props } {
    const bare = propsOf(spec);
    if (bare !== undefined) return { version: 1, schema: bare };
    const { version, schema } = (typeof spec === 'object' && spec !== null ? spec : {}) as { version?: unknown; schema?: unknown };
    const props = propsOf(schema);
    if (props === undefined) throw this.#invalid(`event ${name} is neither a Standard Schema nor { version, schema }`);
    return { version: this.version(`the version of event ${name}`, version), schema: props };
  }

  #steps({ name, version }: CheckedEvent, given: unknown): readonly Upcaster[] {
    const source = (given ?? {}) as Source;
    if (typeof source !== 'object') throw this.#invalid(`upcasters.${name} is not an object`);
    const steps: Upcaster[] = [];
    for (let from = 1; from < version; from += 1) {
      steps.push(this.function(source, String(from), `the upcaster of event ${name} from version ${from} to ${from + 1}`));
    }
    const tooMany = Object.keys(source).find((from) => steps[Number(from) - 1] === undefined);
    if (tooMany !== undefined)
      throw this.#invalid(`event ${name} is at version ${version}, so that nothing leads on from version "${tooMany}"`);
    return steps;
  }

  #refuseOthers(what: string, source: Source, events: ReadonlyMap<string, CheckedEvent>): void {
    const other = Object.keys(source).find((name) => !events.has(name));
    if (other !== undefined) throw this.#invalid(`${what} names "${other}", which is not among events`);
  }

  handlers(): ReadonlyMap<string, HandlerFunction> {
    const commands = this.#object('commands');
    const queries = this.#object('queries', true);
    const { methods } = this.#contract;
    const handlers = new Map<string, HandlerFunction>();
    for (const [name, spec] of Object.entries(methods)) {
      const [source, where, other] = spec.readonly === true ? [queries, 'queries', commands] : [commands, 'commands', queries];
      if (Object.hasOwn(other, name)) throw this.#invalid(`method ${name} belongs into ${where}, by its contract`);
      handlers.set(name, this.function(source, name, `${where}.${name}`) as HandlerFunction);
    }
    for (const name of [...Object.keys(commands), ...Object.keys(queries)]) {
      if (!handlers.has(name)) throw this.#invalid(`the contract has no method "${name}"`);
    }
    return handlers;
  }
}

/** Schemas may be functions (arktype). */
function propsOf(schema: unknown): StandardSchemaV1.Props | undefined {
  const props = (schema as StandardSchemaV1 | undefined | null)?.['~standard'];
  return typeof props?.validate === 'function' ? props : undefined;
}
