import { digestName } from '../../base/digest.ts';
import type { StreamName } from '../../contract/commit-log.ts';

/** That an actor has something to do although nobody calls it, as it stands in the store's records. */
export interface Wake extends StreamName {
  /** In ms since 1970, not later than the earliest thing to do; 0: at once. */
  readonly dueAt: number;
  /** Of the shard, when it was written. */
  readonly epoch: number;
}

export function wakePrefix(shard: number): string {
  return `wake.${shard}.`;
}

export function wakeKey(shard: number, { type, key }: StreamName): string {
  return `${wakePrefix(shard)}${digestName(`${type}/${key}`)}`;
}

export function writtenWake({ type, key, dueAt, epoch }: Wake): string {
  return JSON.stringify({ type, key, dueAt, epoch });
}

/** Undefined for what this version cannot read. */
export function readWake(value: string): Wake | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { type, key, dueAt, epoch } = parsed as Readonly<Record<string, unknown>>;
  const isRight = typeof type === 'string' && typeof key === 'string' && typeof dueAt === 'number' && Number.isSafeInteger(epoch);
  return isRight ? { type, key, dueAt, epoch: epoch as number } : undefined;
}
