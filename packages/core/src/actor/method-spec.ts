import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { HandleClasses, handleClasses } from './handle-classes.ts';

/** One method of a contract. Schemas come from any Standard Schema library. */
export interface MethodSpec {
  /** Checked on the node before the handler runs, which gets the checked value. Without it the method takes nothing and its handler gets `undefined`. */
  readonly input?: StandardSchemaV1;
  /** What the handler returns and the caller gets; both see its output type. Without it the caller gets `undefined`. Checked only under `checkOutputs`. */
  readonly output?: StandardSchemaV1;
  /** Changes nothing, so the caller's runtime may send it again after an unknown outcome. */
  readonly readonly?: boolean;
  /** Executing it twice does no harm, so the caller's runtime may send it again after an unknown outcome. */
  readonly idempotent?: boolean;
}

export type MethodSpecs = Readonly<Record<string, MethodSpec>>;

/** Domain errors: a code and a schema for the data that travels with it. */
export type ErrorSpecs = Readonly<Record<string, StandardSchemaV1>>;

/** What everybody may know of a contract, whatever its types. */
export interface AnyContract {
  readonly type: string;
  readonly methods: MethodSpecs;
  readonly errors: ErrorSpecs;
  /** As given in the options, or a hash of the names and flags; schemas do not enter it. For comparing what two members host. */
  readonly version: string;
  /** Made once per contract, on first use. */
  readonly [handleClasses]: HandleClasses;
}

/** What a caller passes. */
export type MethodInput<M> = M extends { readonly input: infer S extends StandardSchemaV1 } ? StandardSchemaV1.InferInput<S> : undefined;

/** What the handler gets: the input after the schema's defaults and transforms. */
export type HandlerInput<M> = M extends { readonly input: infer S extends StandardSchemaV1 } ? StandardSchemaV1.InferOutput<S> : undefined;

/** What the handler returns and the caller gets. */
export type MethodOutput<M> = M extends { readonly output: infer S extends StandardSchemaV1 } ? StandardSchemaV1.InferOutput<S> : void;

export type DomainErrorData<E extends ErrorSpecs, Code extends keyof E> = StandardSchemaV1.InferOutput<E[Code]>;
