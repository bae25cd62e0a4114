import { PerkeyError } from '../base/errors.ts';
import type { AnyContract, DomainErrorData } from './method-spec.ts';

/** A declared error on its way from a handler to its caller; made by `ctx.error`. */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly actorType: string;
  readonly code: string;
  readonly data: unknown;

  constructor(actorType: string, code: string, data: unknown, message: string) {
    super(message);
    this.actorType = actorType;
    this.code = code;
    this.data = data;
  }
}

/** What a caller gets for a domain error: one variant for each declared code. */
export type ActorError<C extends Pick<AnyContract, 'errors'>, Code extends keyof C['errors'] & string = keyof C['errors'] & string> = {
  [K in Code]: PerkeyError & {
    readonly code: 'actor.error';
    readonly details: { readonly type: string; readonly code: K; readonly data: DomainErrorData<C['errors'], K> };
  };
}[Code];

/** True for an error that this contract declares; with `code`, for that one. Narrows `error.details.data`. */
export function isActorError<C extends AnyContract, Code extends keyof C['errors'] & string = keyof C['errors'] & string>(
  contract: C,
  error: unknown,
  code?: Code,
): error is ActorError<C, Code> {
  if (!(error instanceof PerkeyError) || error.code !== 'actor.error' || error.details['type'] !== contract.type) return false;
  const given = error.details['code'];
  return code === undefined ? typeof given === 'string' && Object.hasOwn(contract.errors, given) : given === code;
}

/** The form in which a domain error leaves the node. */
export function domainErrorReply(thrown: DomainError): PerkeyError {
  return new PerkeyError('actor.error', thrown.message, { details: { type: thrown.actorType, code: thrown.code, data: thrown.data } });
}
