import type { StandardSchemaV1 } from '@standard-schema/spec';
import { invalidOutput, turnRefusal } from './refusals.ts';
import { isThenable } from '../base/thenable.ts';

/** `value`, or a promise of it, if it fits the schema; otherwise throws, or rejects with, `TurnRefusal` with `output.invalid`. */
export function checkOutput(type: string, method: string, schema: StandardSchemaV1.Props, value: unknown): unknown {
  if (isThenable(value)) return Promise.resolve(value).then((settled) => checkOutput(type, method, schema, settled));
  const result = schema.validate(value);
  if (isThenable(result)) return Promise.resolve(result).then((settled) => accepted(type, method, settled, value));
  return accepted(type, method, result, value);
}

function accepted(type: string, method: string, result: StandardSchemaV1.Result<unknown>, value: unknown): unknown {
  if (result.issues !== undefined) throw turnRefusal(invalidOutput(type, method, result.issues));
  return value;
}
