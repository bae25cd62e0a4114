import { startNode, type Logger, type Node, type NodeOptions } from '@perkey/core';
import { nats, reportIncarnation, type NatsOptions } from '@perkey/nats';
import { setTimeout as delay } from 'node:timers/promises';
import { Ledger, ledger } from './ledger.ts';
import { machineMs } from './machine-clock.ts';
import { outcomeOf } from './outcome.ts';
import { Trace } from './trace.ts';

export interface NodeProgramSettings {
  readonly cluster: string;
  readonly nodeId: string;
  readonly nats: NatsOptions;
  /** Where it writes what it executes. */
  readonly traceFile: string;
  readonly options?: Omit<Partial<NodeOptions>, 'transport' | 'actors' | 'log' | 'metrics' | 'clock' | 'random'>;
}

export type NodeMessage =
  | { readonly is: 'incarnation'; readonly incarnation: string }
  | { readonly is: 'ready' }
  | { readonly is: 'failed'; readonly code: string; readonly message: string }
  | { readonly is: 'started'; readonly rid: string }
  | { readonly is: 'log'; readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> };

/** What the test may ask for. `readers`: from now on read these keys from inside the node, each about so often. */
export interface NodeOrder {
  readonly readers: readonly string[];
  readonly everyMs: number;
}

const settings = JSON.parse(process.argv[2] ?? '{}') as NodeProgramSettings;
const trace = new Trace(settings.traceFile);
const tell = (message: NodeMessage): void => {
  if (process.connected) process.send?.(message);
};

const write = (level: string) => (fields: object, message: string) => {
  const shown = Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : (value as unknown)]);
  tell({ is: 'log', level, message, fields: { at: machineMs(), ...Object.fromEntries(shown) } as Record<string, unknown> });
};
const log: Logger = { debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') };

let incarnation = '';
const actor = ledger({ trace, incarnation: () => incarnation, onStarted: (rid) => tell({ is: 'started', rid }) });

async function read(node: Node, key: string, everyMs: number): Promise<void> {
  const handle = node.actor(Ledger, key);
  for (;;) {
    trace.write({ is: 'outcome', ...(await outcomeOf({ method: 'get', key, rid: '' }, () => handle.get({ timeoutMs: 200 }))) });
    await delay(everyMs);
  }
}

try {
  const node = await startNode({
    ...settings.options,
    cluster: settings.cluster,
    nodeId: settings.nodeId,
    transport: nats(settings.nats),
    actors: [actor],
    log,
    onIncarnation: (nodeId, taken) => {
      incarnation = taken;
      reportIncarnation(nodeId, taken);
      tell({ is: 'incarnation', incarnation });
    },
  });
  process.on('message', (order) => {
    const { readers, everyMs } = order as NodeOrder;
    for (const key of readers) void read(node, key, everyMs);
  });
  process.once('SIGTERM', () => void node.stop().then(() => process.exit(0)));
  process.once('disconnect', () => process.exit(0));
  tell({ is: 'ready' });
} catch (error) {
  const { code = '', message } = error as { code?: string; message: string };
  tell({ is: 'failed', code, message });
  process.exitCode = 1;
  process.disconnect();
}
