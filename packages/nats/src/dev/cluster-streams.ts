import { PerkeyError } from '@perkey/core';
import { dial } from '../dial.ts';
import { resolveNats } from '../options.ts';
import { storeNames } from '../store/store-names.ts';
import { subjectsOf } from '../subjects.ts';

export interface ClusterStreamsOptions {
  /** As for `nats`. */
  readonly servers: string | readonly string[];
  readonly cluster: string;
}

/** The names of the streams that a cluster has in JetStream: the buckets of its members and shards, and those of its store. */
export function clusterStreams(options: ClusterStreamsOptions): Promise<readonly string[]> {
  return withRequests(options, async (request) => {
    const found: string[] = [];
    for (const name of namesOf(options.cluster)) {
      if ((await request(`$JS.API.STREAM.INFO.${name}`)).error === undefined) found.push(name);
    }
    return found;
  });
}

/** Removes them with all that is in them. No node of the cluster may run. */
export function removeCluster(options: ClusterStreamsOptions): Promise<void> {
  return withRequests(options, async (request) => {
    for (const name of namesOf(options.cluster)) {
      const { error } = await request(`$JS.API.STREAM.DELETE.${name}`);
      if (error !== undefined && error.code !== 404) {
        throw new PerkeyError('store.unavailable', `the stream ${name} could not be removed: ${error.description ?? error.code}`);
      }
    }
  });
}

function namesOf(cluster: string): readonly string[] {
  const { membersBucket, shardsBucket } = subjectsOf(cluster);
  const { events, states, snapshots, records } = storeNames(cluster);
  return [`KV_${membersBucket}`, `KV_${shardsBucket}`, ...[events, states, snapshots, records].map(({ natsStream }) => natsStream)];
}

interface Answer {
  readonly error?: { readonly code: number; readonly description?: string };
}

type Request = (subject: string) => Promise<Answer>;

async function withRequests<R>({ servers }: ClusterStreamsOptions, use: (request: Request) => Promise<R>): Promise<R> {
  const resolved = resolveNats({ servers }, process.env);
  const connection = await dial(resolved.servers[0] as string, resolved, 'perkey-dev').connected;
  try {
    return await use(async (subject) => (await connection.request(subject, '', { timeout: 5_000 })).json<Answer>());
  } finally {
    await connection.close();
  }
}
