import type { StandardSchemaV1 } from '@standard-schema/spec';
import { bareError } from '../base/bare-error.ts';
import type { PerkeyError } from '../base/errors.ts';
import { safeText } from '../base/log-text.ts';
import { withoutStack } from './without-stack.ts';

const issuesMax = 20;
const pathBytesMax = 128;
const messageBytesMax = 256;

/** Thrown inside a turn to answer with an error of the runtime, before the handler ran. */
export class TurnRefusal extends Error {
  override readonly name = 'TurnRefusal';
  readonly error: PerkeyError;

  constructor(error: PerkeyError) {
    super(error.message);
    this.error = error;
  }
}

export function turnRefusal(error: PerkeyError): TurnRefusal {
  return withoutStack(() => new TurnRefusal(error));
}

export function endedTurn(): PerkeyError {
  return bareError(
    'turn.abandoned',
    'the context of a turn was used after the turn had ended or was given up; await what a handler starts, or use ctx.background',
    { executed: 'no' },
  );
}

export function deadlinePassed(): PerkeyError {
  return bareError('deadline.exceeded', 'the deadline of the request that this turn works for has passed');
}

export function cancelled(): PerkeyError {
  return bareError('request.cancelled', 'the caller cancelled the request');
}

export function expired(): PerkeyError {
  return bareError('request.expired', 'the deadline passed before the request could start');
}

export function abandoned(): PerkeyError {
  return bareError('turn.abandoned', 'the shard moved or the node stopped before the turn could end');
}

export function shardMoved(shard: number, successor: string | undefined): PerkeyError {
  return bareError('shard.moved', `shard ${shard} is not open on this node`, {
    details: successor === undefined ? { shard } : { shard, successor },
  });
}

export function quarantined(type: string): PerkeyError {
  return bareError('actor.quarantined', `a turn of this ${type} outlived its time limit and has not settled`);
}

export function unknownMethod(type: string, method: string): PerkeyError {
  return bareError('method.unknown', `actor ${type} has no method "${safeText(method, 64)}" on the node that hosts it`);
}

export function storeMissing(type: string): PerkeyError {
  const text = `actor ${type} is durable, but the node has no store; give startNode({ store: ... }), such as sqlite({ path }), jetstream() or memoryStore()`;
  return bareError('store.missing', text, { details: { type } });
}

/** The issues of a schema, bounded: their texts may repeat what the caller sent. */
export function invalidInput(type: string, method: string, issues: readonly StandardSchemaV1.Issue[]): PerkeyError {
  const shown = describeIssues(issues);
  const first = shown[0];
  const text = first === undefined ? 'it does not fit' : first.path === '' ? first.message : `${first.path}: ${first.message}`;
  const leftOut = issues.length - shown.length;
  const details = leftOut > 0 ? { issues: shown, issuesLeftOut: leftOut } : { issues: shown };
  return bareError('input.invalid', `input of ${type}.${method}: ${text}`, { details });
}

/** The issues are for the log of the node: they may tell more than the caller may see. */
export function invalidOutput(type: string, method: string, issues: readonly StandardSchemaV1.Issue[]): PerkeyError {
  const text = `what ${type}.${method} returned does not fit its output schema`;
  const cause = new TypeError(
    describeIssues(issues)
      .map(({ path, message }) => `${path}: ${message}`)
      .join('; '),
  );
  return bareError('output.invalid', text, { cause });
}

function describeIssues(issues: readonly StandardSchemaV1.Issue[]): readonly { readonly path: string; readonly message: string }[] {
  return issues.slice(0, issuesMax).map(({ path, message }) => {
    const steps = (path ?? []).map((step) => String(typeof step === 'object' ? step.key : step));
    return { path: safeText(steps.join('.'), pathBytesMax), message: safeText(message, messageBytesMax) };
  });
}
