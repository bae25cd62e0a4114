/** True for a promise of any make. A turn is asynchronous only for those, since awaiting a plain value costs a promise. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
