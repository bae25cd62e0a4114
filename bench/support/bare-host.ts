import { type ActorDefinition, MetricsRegistry, nodeOptions, resolveOptions, seededRandom, silentLogger, systemClock } from '@perkey/core';
import { ActorHost } from '@perkey/core/internal';

const keys = Array.from({ length: 100 }, (_, i) => `counter-${i}`);
const atOnce = 1_000;

function bareHost(definition: ActorDefinition): ActorHost {
  const host = new ActorHost({
    nodeId: 'node-0',
    definitions: [definition],
    settings: resolveOptions(nodeOptions, { cluster: 'bench', mailboxMax: atOnce, nodeQueueMax: atOnce }),
    guard: { mayAct: (now: number) => now < Infinity },
    caller: () => {
      throw new Error('this actor calls nobody');
    },
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    metrics: new MetricsRegistry(),
  });
  host.openShard(0, 1, []);
  return host;
}

/** The actors of a node without the node: no router, no envelopes, no promise for a request. */
export async function bareTurnsPerSecond(
  definition: ActorDefinition,
  { method, input }: { readonly method: string; readonly input: unknown },
  count: number,
): Promise<number> {
  const host = bareHost(definition);
  let answered = 0;
  const reply = {
    ok: (): void => {
      answered += 1;
    },
    error: (_id: number, error: Error): never => {
      throw error;
    },
  };
  const { type } = definition.contract;
  const rest = { type, method, input, headers: {}, chain: [], idempotencyKey: undefined, caller: '', deadline: Infinity, reply };
  const requests = Array.from({ length: atOnce }, (_, id) => ({ id, key: keys[id % keys.length] as string, ...rest }));
  const startedAt = performance.now();
  for (let admitted = 0; admitted < count; admitted += atOnce) {
    for (const request of requests) host.admit(0, request);
    if (answered < admitted + atOnce) await host.drainTurns();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  await host.stop();
  return answered / seconds;
}
