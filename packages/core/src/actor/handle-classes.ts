import type { CallOptions, Caller } from '../contract/calls.ts';
import { type CallSettings, faultOfSettings, type NotifySettings } from './call-settings.ts';
import type { AnyContract, MethodInput, MethodOutput, MethodSpec } from './method-spec.ts';

// An object schema whose fields are all optional, or one that takes undefined, needs no argument.
type TakesNothing<Input> = undefined extends Input ? true : {} extends Input ? true : false;

export type CallMethod<M extends MethodSpec> = M extends { readonly input: object }
  ? TakesNothing<MethodInput<M>> extends true
    ? (input?: MethodInput<M>, settings?: CallSettings) => Promise<MethodOutput<M>>
    : (input: MethodInput<M>, settings?: CallSettings) => Promise<MethodOutput<M>>
  : (settings?: CallSettings) => Promise<MethodOutput<M>>;

export type NotifyMethod<M extends MethodSpec> = M extends { readonly input: object }
  ? TakesNothing<MethodInput<M>> extends true
    ? (input?: MethodInput<M>, settings?: NotifySettings) => void
    : (input: MethodInput<M>, settings?: NotifySettings) => void
  : (settings?: NotifySettings) => void;

/** The methods of one actor, each sending a request. */
export type ActorHandle<C extends Pick<AnyContract, 'methods'>> = {
  readonly [N in keyof C['methods'] & string]: CallMethod<C['methods'][N]>;
};

/** The methods of one actor, each sending a one-way message: at most once, no answer. */
export type NotifyHandle<C extends Pick<AnyContract, 'methods'>> = {
  readonly [N in keyof C['methods'] & string]: NotifyMethod<C['methods'][N]>;
};

/** Where a contract keeps the classes of its handles. */
export const handleClasses: unique symbol = Symbol('handle classes');

export interface HandleClasses {
  readonly request: new (key: string, caller: Caller) => object;
  readonly notify: new (key: string, caller: Caller) => object;
}

class BoundKey {
  readonly #key: string;
  readonly #caller: Caller;

  constructor(key: string, caller: Caller) {
    this.#key = key;
    this.#caller = caller;
  }

  static request(bound: BoundKey, type: string, method: string, input: unknown, options: CallOptions | undefined): Promise<unknown> {
    return bound.#caller.request(type, method, bound.#key, input, options);
  }

  /** With what the caller says about this call, and what the contract says of the method. */
  static requestWith(
    bound: BoundKey,
    type: string,
    method: string,
    input: unknown,
    settings: CallSettings,
    mayRepeat: boolean,
  ): Promise<unknown> {
    const fault = faultOfSettings(settings);
    if (fault !== undefined) return Promise.reject(fault);
    return BoundKey.request(bound, type, method, input, mayRepeat ? { ...settings, idempotent: true } : settings);
  }

  static notify(bound: BoundKey, type: string, method: string, input: unknown, settings: NotifySettings | undefined): void {
    const fault = settings === undefined ? undefined : faultOfSettings(settings);
    if (fault !== undefined) throw fault;
    bound.#caller.notify(type, method, bound.#key, input, settings);
  }
}

const idempotentCall: CallOptions = Object.freeze({ idempotent: true });

/** Two classes with the contract's methods on their prototypes, so that a handle itself is one object of two fields. */
export function makeHandleClasses(contract: Pick<AnyContract, 'type' | 'methods'>): HandleClasses {
  const { type } = contract;
  const request = class extends BoundKey {};
  const notify = class extends BoundKey {};
  for (const [method, spec] of Object.entries(contract.methods)) {
    const mayRepeat = spec.readonly === true || spec.idempotent === true;
    const base = mayRepeat ? idempotentCall : undefined;
    if (spec.input === undefined) {
      define(request, method, function (this: BoundKey, settings?: CallSettings) {
        if (settings === undefined) return BoundKey.request(this, type, method, undefined, base);
        return BoundKey.requestWith(this, type, method, undefined, settings, mayRepeat);
      });
      define(notify, method, function (this: BoundKey, settings?: NotifySettings) {
        BoundKey.notify(this, type, method, undefined, settings);
      });
    } else {
      define(request, method, function (this: BoundKey, input: unknown, settings?: CallSettings) {
        if (settings === undefined) return BoundKey.request(this, type, method, input, base);
        return BoundKey.requestWith(this, type, method, input, settings, mayRepeat);
      });
      define(notify, method, function (this: BoundKey, input: unknown, settings?: NotifySettings) {
        BoundKey.notify(this, type, method, input, settings);
      });
    }
  }
  return { request, notify };
}

function define(target: { readonly prototype: object }, name: string, value: (this: BoundKey, ...args: never[]) => unknown): void {
  Object.defineProperty(target.prototype, name, { value });
}

/** A typed handle; the key is not checked here. */
export function bindHandle<C extends AnyContract>(contract: C, key: string, caller: Caller): ActorHandle<C> {
  return new contract[handleClasses].request(key, caller) as ActorHandle<C>;
}

/** A typed one-way handle; the key is not checked here. */
export function bindNotifyHandle<C extends AnyContract>(contract: C, key: string, caller: Caller): NotifyHandle<C> {
  return new contract[handleClasses].notify(key, caller) as NotifyHandle<C>;
}
