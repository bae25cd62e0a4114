import { startNode, type Logger, type Node, type NodeOptions } from '@perkey/core';
import { jetstream, type JetStreamOptions, nats, reportIncarnation, type NatsOptions } from '@perkey/nats';
import { sqlite } from '@perkey/sqlite';
import { flushCompileCache } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import { durableLedger, type EventVersion } from './durable-ledger.ts';
import { brittle, type Host, Ledger, ledger, odd, worker } from './ledger.ts';
import { machineMs } from './machine-clock.ts';
import { outcomeOf } from './outcome.ts';
import { Trace } from './trace.ts';

export interface NodeProgramSettings {
  readonly cluster: string;
  readonly nodeId: string;
  readonly nats: NatsOptions;
  /** Where it writes what it executes. */
  readonly traceFile: string;
  readonly passivateAfterMs?: number;
  /** Ledgers are durable: in JetStream, or in the file at `path`. */
  readonly store?: JetStreamOptions | { readonly path: string };
  /** Of the event that durable ledgers write. Default 1. */
  readonly eventVersion?: EventVersion;
  readonly options?: Omit<Partial<NodeOptions>, 'transport' | 'store' | 'actors' | 'log' | 'metrics' | 'clock' | 'random'>;
}

export type NodeMessage =
  | { readonly is: 'incarnation'; readonly incarnation: string }
  | { readonly is: 'ready' }
  | { readonly is: 'failed'; readonly code: string; readonly message: string }
  | { readonly is: 'started'; readonly rid: string }
  | ({ readonly is: 'stats' } & NodeStats)
  | { readonly is: 'log'; readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> };

/** What a node holds, after a collection of garbage. */
export interface NodeStats {
  readonly heapBytes: number;
  readonly rssBytes: number;
  /** Open sockets, timers and the like. */
  readonly handles: number;
  /** Series of all metrics. */
  readonly series: number;
}

/** What the harness may ask for. `readers`: from now on read these keys from inside the node, each about so often. */
export type NodeOrder =
  { readonly order: 'readers'; readonly keys: readonly string[]; readonly everyMs: number } | { readonly order: 'stats' };

const settings = JSON.parse(process.argv[2] ?? '{}') as NodeProgramSettings;
const trace = new Trace(settings.traceFile);
const tell = (message: NodeMessage): void => {
  // Without a callback a harness that has ended would end this process before it says goodbye.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
};

const write = (level: string) => (fields: object, message: string) => {
  const shown = Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : (value as unknown)]);
  tell({ is: 'log', level, message, fields: { at: machineMs(), ...Object.fromEntries(shown) } as Record<string, unknown> });
};
const log: Logger = { debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') };

let incarnation = '';
const { passivateAfterMs, store: kept, eventVersion = 1 } = settings;
const host: Host = { trace, incarnation: () => incarnation, onStarted: (rid) => tell({ is: 'started', rid }), passivateAfterMs };
const actor = kept === undefined ? ledger(host) : durableLedger(host, eventVersion);
const store = kept === undefined ? undefined : 'path' in kept ? sqlite(kept) : jetstream(kept);

async function read(node: Node, key: string, everyMs: number): Promise<void> {
  const handle = node.actor(Ledger, key);
  for (;;) {
    trace.write({ is: 'outcome', ...(await outcomeOf({ method: 'get', key, rid: '' }, () => handle.get({ timeoutMs: 200 }))) });
    await delay(everyMs);
  }
}

function stats(node: Node): NodeStats {
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  const series = node.metrics.snapshot().reduce((sum, family) => sum + family.series.length, 0);
  return { heapBytes: heapUsed, rssBytes: rss, handles: process.getActiveResourcesInfo().length, series };
}

function obey(node: Node, order: NodeOrder): void {
  if (order.order === 'stats') tell({ is: 'stats', ...stats(node) });
  else for (const key of order.keys) void read(node, key, order.everyMs);
}

try {
  const node = await startNode({
    ...settings.options,
    cluster: settings.cluster,
    nodeId: settings.nodeId,
    transport: nats(settings.nats),
    ...(store && { store }),
    actors: [actor, odd, brittle, worker],
    log,
    onIncarnation: (nodeId, taken) => {
      incarnation = taken;
      reportIncarnation(nodeId, taken);
      tell({ is: 'incarnation', incarnation });
    },
  });
  process.on('message', (order) => obey(node, order as NodeOrder));
  process.once('SIGTERM', () => void node.stop().then(() => process.exit(0)));
  process.once('disconnect', () => process.exit(0));
  tell({ is: 'ready' });
  // One that is killed keeps nothing for those that come after it.
  flushCompileCache();
} catch (error) {
  const { code = '', message } = error as { code?: string; message: string };
  tell({ is: 'failed', code, message });
  process.exitCode = 1;
  process.disconnect();
}
