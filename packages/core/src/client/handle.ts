import { bindHandle, bindNotifyHandle } from '../actor/handle-classes.ts';
import type { ActorHandle, NotifyHandle } from '../actor/handle-classes.ts';
import type { AnyContract } from '../actor/method-spec.ts';
import { invalidKey, isKey } from '../actor/names.ts';
import type { Caller } from '../contract/calls.ts';

export interface HandleOptions {
  /** The longest key, in bytes of UTF-8. */
  readonly keyBytesMax: number;
}

/** The methods of one actor as requests. Throws `key.invalid`. Costs one small object. */
export function actorHandle<C extends AnyContract>(contract: C, key: string, caller: Caller, options: HandleOptions): ActorHandle<C> {
  if (!isKey(key, options.keyBytesMax)) throw invalidKey(key, options.keyBytesMax);
  return bindHandle(contract, key, caller);
}

/** The methods of one actor as one-way messages. Throws `key.invalid`. */
export function notifyHandle<C extends AnyContract>(contract: C, key: string, caller: Caller, options: HandleOptions): NotifyHandle<C> {
  if (!isKey(key, options.keyBytesMax)) throw invalidKey(key, options.keyBytesMax);
  return bindNotifyHandle(contract, key, caller);
}
