import type { StandardSchemaV1 } from '@standard-schema/spec';
import { bareError } from '../base/bare-error.ts';
import { invalidInput, turnRefusal } from './refusals.ts';
import type { TurnRefusal } from './refusals.ts';
import { isThenable } from '../base/thenable.ts';

interface Checked {
  readonly value: unknown;
}

/**
 * The input as its schema gives it, or a promise where the schema is asynchronous. A call without input is also tried as `{}`,
 * so that a method whose fields are all optional needs no argument. Throws `TurnRefusal` with `input.invalid`.
 */
export function checkInput(type: string, method: string, schema: StandardSchemaV1.Props, input: unknown): Checked | Promise<Checked> {
  const result = validate(type, method, schema, input);
  if (!isThenable(result)) {
    if (result.issues === undefined) return result;
    return input === undefined ? checkEmpty(type, method, schema, result.issues) : refuse(type, method, result.issues);
  }
  return checkLater(type, method, schema, input, result);
}

async function checkLater(
  type: string,
  method: string,
  schema: StandardSchemaV1.Props,
  input: unknown,
  pending: PromiseLike<StandardSchemaV1.Result<unknown>>,
): Promise<Checked> {
  let result: StandardSchemaV1.Result<unknown>;
  try {
    result = await pending;
  } catch (thrown) {
    throw brokenSchema(type, method, thrown);
  }
  if (result.issues === undefined) return result;
  return input === undefined ? checkEmpty(type, method, schema, result.issues) : refuse(type, method, result.issues);
}

function checkEmpty(
  type: string,
  method: string,
  schema: StandardSchemaV1.Props,
  issues: readonly StandardSchemaV1.Issue[],
): Checked | Promise<Checked> {
  const result = validate(type, method, schema, {});
  if (!isThenable(result)) return result.issues === undefined ? result : refuse(type, method, issues);
  return Promise.resolve(result).then((later) => (later.issues === undefined ? later : refuse(type, method, issues)));
}

function validate(type: string, method: string, schema: StandardSchemaV1.Props, input: unknown): ReturnType<typeof schema.validate> {
  try {
    return schema.validate(input);
  } catch (thrown) {
    throw brokenSchema(type, method, thrown);
  }
}

function refuse(type: string, method: string, issues: readonly StandardSchemaV1.Issue[]): never {
  throw turnRefusal(invalidInput(type, method, issues));
}

function brokenSchema(type: string, method: string, thrown: unknown): TurnRefusal {
  return turnRefusal(bareError('input.invalid', `the input schema of ${type}.${method} threw`, { cause: thrown, details: { issues: [] } }));
}
