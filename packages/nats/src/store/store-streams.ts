import { PerkeyError, safeText } from '@perkey/core';
import type { Logger } from '@perkey/core';
import { faultText, jsErrors, unavailable } from '../store-api.ts';
import type { JsFault, JsReply, StoreApi } from '../store-api.ts';
import type { StoreNames } from './store-names.ts';

/** One stream as it has to be. */
export interface WantedStream {
  readonly name: string;
  readonly subjects: readonly string[];
  /** Messages kept of one subject; -1 for all. */
  readonly perSubject: number;
  /** What is lost with it cannot be made again. */
  readonly truth: boolean;
  readonly bytesMax: number;
}

export function wantedStreams(names: StoreNames, bytesMax: number): readonly WantedStream[] {
  const { events, states, snapshots, records } = names;
  return [
    { name: events.natsStream, subjects: [`${events.prefix}*.*`], perSubject: -1, truth: true, bytesMax },
    { name: states.natsStream, subjects: [`${states.prefix}*.*`], perSubject: 1, truth: true, bytesMax },
    { name: snapshots.natsStream, subjects: [`${snapshots.prefix}*.*`], perSubject: -1, truth: false, bytesMax: -1 },
    { name: records.natsStream, subjects: [`${records.prefix}>`], perSubject: 1, truth: true, bytesMax: -1 },
  ];
}

type Config = Readonly<Record<string, unknown>>;

/**
 * Direct reads are off: they are answered by any copy. Nothing is ever purged by subject, which on server 2.9 makes reads of others skip
 * records, so it is denied where records are the truth; single messages are removed by `trim`.
 */
function configOf({ name, subjects, perSubject, truth, bytesMax }: WantedStream, replicas: number): Config {
  return {
    name,
    subjects,
    retention: 'limits',
    storage: 'file',
    discard: 'new',
    num_replicas: replicas,
    max_age: 0,
    max_msgs: -1,
    max_bytes: bytesMax,
    max_msg_size: -1,
    max_consumers: -1,
    max_msgs_per_subject: perSubject,
    allow_direct: false,
    allow_rollup_hdrs: false,
    deny_delete: false,
    deny_purge: truth,
  };
}

export interface FoundStream {
  /** When it was created, as the server tells it: another time is another stream, whatever its name. */
  readonly created: string;
  readonly replicas: number;
}

/** `undefined` where there is none. Rejects with `store.unavailable`, `transport.no_jetstream`. */
export async function findStream(api: StoreApi, name: string): Promise<{ readonly config: Config; readonly created: string } | undefined> {
  const reply = await api.request(`$JS.API.STREAM.INFO.${name}`, '');
  if (reply.error?.err_code === jsErrors.streamNotFound) return undefined;
  return streamOf(reply);
}

function streamOf(reply: JsReply): { readonly config: Config; readonly created: string } {
  if (reply.error !== undefined) throw refusal(reply.error);
  return { config: (reply['config'] ?? {}) as Config, created: String(reply['created']) };
}

function refusal(fault: JsFault): PerkeyError {
  const { err_code: code } = fault;
  if (code === jsErrors.notEnabled || code === jsErrors.notEnabledForAccount) {
    const where = code === jsErrors.notEnabled ? '' : ' for this account';
    return new PerkeyError(
      'transport.no_jetstream',
      `NATS runs without JetStream${where}; start it with the flag -js (or jetstream {} in its configuration)`,
    );
  }
  return unavailable(safeText(faultText(fault)));
}

/** Makes the stream where there is none; one that is there is checked. Rejects as `findStream`, and with `transport.refused`. */
export async function ensureStream(api: StoreApi, wanted: WantedStream, replicas: number, log: Logger): Promise<FoundStream> {
  const there = await findStream(api, wanted.name);
  if (there !== undefined) return checked(there, wanted, replicas, log);
  const reply = await api.request(`$JS.API.STREAM.CREATE.${wanted.name}`, JSON.stringify(configOf(wanted, replicas)));
  if (reply.error === undefined) {
    log.info({ stream: wanted.name, replicas }, 'created the stream');
    return { created: streamOf(reply).created, replicas };
  }
  if (reply.error.err_code === jsErrors.copiesNeedCluster) {
    throw new PerkeyError(
      'transport.refused',
      `NATS refused to create the stream ${wanted.name}: ${safeText(faultText(reply.error))}; set replicas to 1, or join several servers to a cluster`,
    );
  }
  // Somebody else may have created it at the same moment.
  const made = await findStream(api, wanted.name);
  if (made === undefined) throw refusal(reply.error);
  return checked(made, wanted, replicas, log);
}

function checked(
  { config, created }: { readonly config: Config; readonly created: string },
  wanted: WantedStream,
  replicas: number,
  log: Logger,
): FoundStream {
  const fault = faultIn(config, wanted);
  if (fault !== undefined) {
    throw new PerkeyError('transport.refused', `the stream ${wanted.name} cannot hold what Perkey stores: ${fault}`, {
      details: { stream: wanted.name },
    });
  }
  const { num_replicas: actual, deny_delete: denyDelete, deny_purge: denyPurge } = config;
  const stream = wanted.name;
  if (actual !== replicas) log.warn({ stream, wanted: replicas, actual }, 'the stream has another number of replicas; it is left so');
  if (denyDelete === true) log.warn({ stream }, 'the stream denies deletes, so nothing in it can be trimmed or forgotten');
  if (wanted.truth && denyPurge !== true)
    log.warn({ stream }, 'the stream allows purges; on NATS before 2.10 a purge makes readers skip records');
  return { created, replicas: Number(actual ?? 1) };
}

/** What would make the stream lose records, or hold others. */
function faultIn(config: Config, { subjects, perSubject }: WantedStream): string | undefined {
  const wrong = (setting: string, is: unknown, must: string): string =>
    `its ${setting} is ${safeText(JSON.stringify(is))}, and must be ${must}`;
  const limited = (name: string): boolean => Number(config[name] ?? -1) > 0;
  if (JSON.stringify(config['subjects']) !== JSON.stringify(subjects))
    return wrong('subjects', config['subjects'], `${JSON.stringify(subjects)}; change it, or remove the stream if nothing in it is needed`);
  if (config['storage'] !== 'file')
    return wrong('storage', config['storage'], '"file", since memory is lost with the server; make a new one and copy the records');
  if (config['retention'] !== 'limits') return wrong('retention', config['retention'], '"limits"; make a new one and copy the records');
  if (limited('max_age')) return wrong('max_age', config['max_age'], '0, since records would go by their age; change it');
  if (config['discard'] !== 'new')
    return wrong('discard', config['discard'], '"new", since a full stream would drop its oldest records; change it');
  if (Number(config['max_msgs_per_subject'] ?? -1) !== perSubject && !(perSubject === -1 && !limited('max_msgs_per_subject')))
    return wrong('max_msgs_per_subject', config['max_msgs_per_subject'], `${perSubject}; change it`);
  if (config['sealed'] === true) return 'it is sealed, and takes nothing more';
  return undefined;
}
