import { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import { nameForm } from '../base/name-form.ts';

/** Names that the implementation object, the handle or every object uses itself. */
const reservedMethodNames: ReadonlySet<string> = new Set([
  ...['state', 'onActivate', 'onDeactivate', 'defaultHandler', 'timers'],
  ...['passivateAfterMs', 'mailboxMax', 'turnTimeoutMs', 'idempotency', 'checkOutputs', 'persist'],
  ...['then', 'catch', 'finally', 'toJSON'],
  ...Object.getOwnPropertyNames(Object.prototype),
]);

/** Throws `contract.invalid` unless `name` fits `[A-Za-z][A-Za-z0-9_-]{0,63}`. */
export function checkName(what: string, name: unknown): void {
  if (typeof name === 'string' && nameForm.test(name)) return;
  throw new PerkeyError('contract.invalid', `${what} "${safeText(name, 80)}" is not of the form ${nameForm.source}`);
}

/** Throws `contract.invalid` for a malformed or reserved name. */
export function checkMethodName(type: string, name: string): void {
  checkName(`method name of actor ${type}:`, name);
  if (reservedMethodNames.has(name))
    throw new PerkeyError('contract.invalid', `actor ${type}: "${name}" is reserved and cannot name a method`);
}

/** True for a non-empty, well-formed text of at most `bytesMax` bytes of UTF-8. */
export function isKey(key: unknown, bytesMax: number): key is string {
  if (typeof key !== 'string' || key.length === 0 || key.length > bytesMax) return false;
  // No UTF-16 unit takes more than three bytes.
  return key.isWellFormed() && (key.length * 3 <= bytesMax || Buffer.byteLength(key) <= bytesMax);
}

export function invalidKey(key: unknown, bytesMax: number): PerkeyError {
  const what = typeof key === 'string' ? faultOf(key) : `a value of type ${typeof key}`;
  return new PerkeyError('key.invalid', `an actor key is a non-empty, well-formed text of at most ${bytesMax} bytes, not ${what}`, {
    details: { keyBytesMax: bytesMax },
  });
}

function faultOf(key: string): string {
  if (key === '') return 'an empty one';
  return key.isWellFormed() ? `one of ${Buffer.byteLength(key)} bytes` : 'one with half of a surrogate pair';
}
