import type { StandardSchemaV1 } from '@standard-schema/spec';

/**
 * One kind of event that an aggregate stores: the schema of its data, or the schema with its version. A schema alone is version 1.
 * What the schema gives is stored; it must be plain data.
 */
export type EventSpec = StandardSchemaV1 | VersionedEvent;

export interface VersionedEvent {
  /** Rises by one whenever stored data of the version before would not do any more; an upcaster then leads from that one to this. */
  readonly version: number;
  readonly schema: StandardSchemaV1;
}

/** By the name under which the event is stored, for ever. */
export type EventSpecs = Readonly<Record<string, EventSpec>>;

type SchemaOf<E> = E extends StandardSchemaV1 ? E : E extends { readonly schema: infer S extends StandardSchemaV1 } ? S : never;

/** What `ctx.raise` takes. */
export type EventInput<E> = StandardSchemaV1.InferInput<SchemaOf<E>>;

/** What is stored, and what `evolve` gets. */
export type EventData<E> = StandardSchemaV1.InferOutput<SchemaOf<E>>;

/** Name and data of any of the events, for tests. */
export type EventPair<Events extends EventSpecs> = {
  readonly [N in keyof Events & string]: readonly [N, EventInput<Events[N]>];
}[keyof Events & string];

/** What `evolve` is told of an event beside its data. */
export interface EventFacts {
  readonly key: string;
  /** Number of the event in the history of its actor, from 1. */
  readonly version: number;
  /** When it was raised, in ms since 1970. */
  readonly at: number;
}

/** Leads the data of one version to the next. A method, so that it may say the type of what it takes. */
export type Upcaster = { run(data: unknown): unknown }['run'];

/** For each event the steps from every version before the present one, by the version that a step takes. */
export type Upcasters<Events extends EventSpecs> = {
  readonly [N in keyof Events & string]?: Readonly<Record<number, Upcaster>>;
};
