/** Freezes plain data, all the way down to what is frozen already: of a value that shares parts with a frozen one, only the new parts cost anything. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const name of Object.keys(value)) deepFreeze((value as Readonly<Record<string, unknown>>)[name]);
  return value;
}
