import { digestName } from '@perkey/core/internal';
import type { StreamName } from '@perkey/core';
import { isToken, subjectsOf } from '../subjects.ts';

/** A stream of NATS that holds a log of many streams, each under a subject of its own. */
export interface LogNames {
  readonly natsStream: string;
  /** Subjects are `<prefix><actor type>.<digest of the key>`. */
  readonly prefix: string;
}

/**
 * Every NATS name that the store uses. `<digest>` is the SHA-256 of the key in 43 characters: the key itself is never part of a name.
 *
 * | name | what |
 * |---|---|
 * | stream `perkey_<cluster>_events`, subjects `perkey.<cluster>.events.<type>.<digest>` | every record of durable actors |
 * | the same, subjects `perkey.<cluster>.events.=barrier.<digest of the node id>`, and so in the states | how far each node knows the log to have come |
 * | stream `perkey_<cluster>_states`, subjects `perkey.<cluster>.states.<type>.<digest>` | the last state of each actor that keeps its state |
 * | stream `perkey_<cluster>_snapshots`, subjects `perkey.<cluster>.snapshots.<type>.<digest>` | snapshots |
 * | bucket `perkey_<cluster>_records` (stream `KV_...`, subjects `$KV.perkey_<cluster>_records.>`) | checkpoints, and which actors have to be woken |
 *
 * What the connection of the store has to be allowed is in the README of this package, as a configuration that a test runs.
 */
export interface StoreNames {
  readonly events: LogNames;
  readonly states: LogNames;
  readonly snapshots: LogNames;
  readonly recordsBucket: string;
  readonly records: LogNames;
}

/** Throws `options.invalid` for a cluster that is not a token. */
export function storeNames(cluster: string): StoreNames {
  const { prefix } = subjectsOf(cluster);
  const log = (name: string): LogNames => ({ natsStream: `perkey_${cluster}_${name}`, prefix: `${prefix}${name}.` });
  const recordsBucket = `perkey_${cluster}_records`;
  return {
    events: log('events'),
    states: log('states'),
    snapshots: log('snapshots'),
    recordsBucket,
    records: { natsStream: `KV_${recordsBucket}`, prefix: `$KV.${recordsBucket}.` },
  };
}

const rememberedMax = 16_384;

/** The subjects of streams; those asked for of late are remembered, since a digest takes longer than all else that an append does here. */
export class StreamSubjects {
  readonly #prefix: string;
  readonly #byType = new Map<string, Map<string, string>>();
  #remembered = 0;

  constructor(names: LogNames) {
    this.#prefix = names.prefix;
  }

  /** `undefined` for a type that is no token, of which no record can exist. */
  of({ type, key }: StreamName): string | undefined {
    const known = this.#byType.get(type)?.get(key);
    if (known !== undefined) return known;
    if (!isToken(type)) return undefined;
    if (this.#remembered >= rememberedMax) {
      this.#byType.clear();
      this.#remembered = 0;
    }
    const subject = `${this.#prefix}${type}.${digestName(key)}`;
    let ofType = this.#byType.get(type);
    if (ofType === undefined) this.#byType.set(type, (ofType = new Map<string, string>()));
    // A very long key is not worth its room.
    if (key.length <= 1_024) {
      ofType.set(key, subject);
      this.#remembered += 1;
    }
    return subject;
  }
}
