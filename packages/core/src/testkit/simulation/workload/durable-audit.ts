import { silentLogger } from '../../../base/log.ts';
import { noMetrics } from '../../../base/metrics.ts';
import type { StreamName } from '../../../contract/commit-log.ts';
import type { CommitReader } from '../../../events/commit-reader.ts';
import { EventStore } from '../../../events/event-store.ts';
import type { AppliedAppend } from '../../faulty-store.ts';
import type { LoggedEvent } from '../../history/operation.ts';
import { simulatedCluster } from '../surroundings.ts';
import type { SimulationWorld } from '../world.ts';
import { StoredReader } from './stored-truth.ts';

/**
 * What the store holds at the end, as a log that callers can be held against; fails the world where streams or states do not follow from one
 * another: epochs never fall, versions have no gap, the hashes chain, and a state that takes the place of another has at most one effect more.
 */
export async function auditStore(world: SimulationWorld): Promise<readonly LoggedEvent[]> {
  const { store } = world.around;
  const applied = store.history.toSorted((a, b) => a.sequence - b.sequence);
  const of = (log: 'events' | 'states'): AppliedAppend[][] =>
    Map.groupBy(
      applied.filter((one) => one.log === log),
      ({ stream }) => addressOf(stream),
    )
      .values()
      .toArray();
  const streams = of('events');
  await verifyStreams(world, streams);
  const reader = new StoredReader();
  return [
    ...streams.flatMap((records) => eventsOf(records, reader.commits)),
    ...of('states').flatMap((records) => statesOf(world, records, reader)),
  ];
}

function addressOf({ type, key }: StreamName): string {
  return `${type}/${key}`;
}

async function verifyStreams(world: SimulationWorld, streams: readonly (readonly AppliedAppend[])[]): Promise<void> {
  const { store, wires, options } = world.around;
  const { shards } = options;
  const random = world.around.randomFor('auditor');
  const environment = { cluster: simulatedCluster, nodeId: 'auditor', shards, connectTimeoutMs: 1_000, clock: wires, random };
  const open = await store.open({ ...environment, log: silentLogger, metrics: noMetrics });
  const events = new EventStore({ log: open.events, clock: wires, random, metrics: noMetrics, shards });
  for (const records of streams) {
    const { stream } = records[0] as AppliedAppend;
    const report = await events.verify(stream);
    const [problem] = report.problems;
    if (problem !== undefined) world.fail(`the stream ${addressOf(stream)} is broken at ${problem.sequence}: ${problem.what}`);
    if (report.records !== records.length)
      world.fail(`the stream ${addressOf(stream)} has ${report.records} records, and ${records.length} were applied`);
  }
  await open.close();
}

function eventsOf(records: readonly AppliedAppend[], reader: CommitReader): LoggedEvent[] {
  return records.flatMap((record) => {
    const { type, key, owner, epoch, events } = reader.read(record);
    const by = incarnationOf(owner);
    return events.map(({ data, version }) => ({ key: addressOf({ type, key }), rid: data as string, version, epoch, by, life: 'stored' }));
  });
}

function statesOf(world: SimulationWorld, records: readonly AppliedAppend[], reader: StoredReader): LoggedEvent[] {
  const logged: LoggedEvent[] = [];
  let lastVersion = 0;
  let lastEpoch = 0;
  for (const record of records) {
    const commit = reader.commits.read(record);
    const { epoch, owner, version } = commit;
    const key = addressOf(commit);
    const { rids } = reader.tallyIn(commit.state().state as Uint8Array);
    const [added, ...more] = rids.slice(logged.length);
    const isSame = logged.every(({ rid }, at) => rids[at] === rid);
    const fail = (what: string): void => world.fail(`the state of ${key} in record ${record.sequence} by ${owner} ${what}`);
    if (epoch < lastEpoch) fail(`has the epoch ${epoch} after ${lastEpoch}`);
    if (version !== lastVersion + 1) fail(`has the version ${version} after ${lastVersion}`);
    if (!isSame || more.length > 0) fail(`does not follow from the one before: ${rids.length} effects after ${logged.length}`);
    lastEpoch = epoch;
    lastVersion = version;
    if (added !== undefined) {
      logged.push({ key, rid: added, version: rids.length, epoch, by: incarnationOf(owner), life: 'stored' });
    }
  }
  return logged;
}

function incarnationOf(owner: string): string {
  return owner.slice(owner.indexOf('/') + 1);
}
