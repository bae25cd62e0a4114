import type { ActorDefinition } from '@perkey/core';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { type Host, Ledger, type Seen } from './ledger.ts';
import { machineMs } from './machine-clock.ts';

/** What an event of the ledger says of the turn that raised it. */
export interface Added {
  readonly rid: string;
  readonly node: string;
  readonly by: string;
}

/** A state in a log has one life. */
export const lifeOfLog = 'log';

export type EventVersion = 1 | 2;

const added = { rid: z.string(), node: z.string(), by: z.string() };
const initial = (): { value: number } => ({ value: 0 });

/**
 * The ledger with its history in a store. Its trace holds every run of a handler, whether or not it was stored: what counts is the log.
 * Version 2 of its event is what a later release of the program writes.
 */
export function durableLedger(host: Host, version: EventVersion): ActorDefinition {
  const turn = turns(host);
  const { passivateAfterMs } = host;
  const options = { ...(passivateAfterMs === undefined ? {} : { passivateAfterMs }), snapshotEvery: 10 };
  const get = (ctx: Acting): Seen => seenBy(ctx, host.incarnation());
  if (version === 1)
    return Ledger.aggregate({
      ...options,
      initial,
      events: { Added: z.object(added) },
      evolve: { Added: ({ value }) => ({ value: value + 1 }) },
      commands: { add: (ctx, input) => turn(ctx, input, (data) => ctx.raise('Added', data)) },
      queries: { get },
    });
  return Ledger.aggregate({
    ...options,
    initial,
    events: { Added: { version: 2, schema: z.object({ ...added, amount: z.number() }) } },
    upcasters: { Added: { 1: (data) => ({ ...(data as Added), amount: 1 }) } },
    evolve: { Added: ({ value }, { amount }) => ({ value: value + amount }) },
    commands: { add: (ctx, input) => turn(ctx, input, (data) => ctx.raise('Added', { ...data, amount: 1 })) },
    queries: { get },
  });
}

interface Acting {
  readonly key: string;
  readonly epoch: number;
  readonly nodeId: string;
  readonly state: Readonly<{ value: number }>;
}

interface Input {
  readonly rid: string;
  readonly holdMs: number;
}

type Command = (ctx: Acting, input: Input, raise: (data: Added) => void) => Seen | Promise<Seen>;

function turns({ trace, incarnation, onStarted }: Host): Command {
  return (ctx, { rid, holdMs }, raise) => {
    raise({ rid, node: ctx.nodeId, by: incarnation() });
    const seen = seenBy(ctx, incarnation());
    trace.write({ is: 'turn', at: machineMs(), rid, key: ctx.key, ...seen });
    if (holdMs === 0) return seen;
    onStarted(rid);
    return delay(holdMs).then(() => seen);
  };
}

function seenBy({ state, epoch, nodeId }: Acting, by: string): Seen {
  return { value: state.value, born: lifeOfLog, epoch, node: nodeId, by };
}
