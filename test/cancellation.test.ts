import { connect, defineActor, memory, memoryHub, PerkeyError, startNode } from '@perkey/core';
import { VirtualClock } from '@perkey/core/testing';
import { expect, test } from 'vitest';

const Slow = defineActor('slow', { work: {}, count: {} });

interface Seen {
  started: number;
  aborted: string[];
}

function slowActor(seen: Seen) {
  return Slow.host({
    state: () => ({}),
    async work(ctx) {
      seen.started += 1;
      await new Promise<void>((resolve) => {
        ctx.signal.addEventListener('abort', () => {
          seen.aborted.push((ctx.signal.reason as PerkeyError).code);
          resolve();
        });
      });
    },
    count() {},
  });
}

test.each(['another process', 'the same node'])(
  'a caller that gives up in %s aborts the turn and takes its waiting calls back',
  async (where) => {
    const clock = new VirtualClock();
    const hub = memoryHub();
    const seen: Seen = { started: 0, aborted: [] };
    const common = { cluster: 'test', clock, env: {} };
    const node = await clock.run(startNode({ ...common, transport: memory(hub), actors: [slowActor(seen)], shards: 4 }));
    const client = await clock.run(connect({ ...common, transport: memory(hub) }));
    const slow = (where === 'the same node' ? node : client).actor(Slow, 'a');
    // Within one process it is known at once that they had not started.
    const waiting = where === 'the same node' ? 'request.cancelled' : 'request.aborted';
    const givesUp = new AbortController();

    const outcomes = [0, 1, 2].map(() => slow.work({ signal: givesUp.signal }).catch((error: unknown) => (error as PerkeyError).code));
    await clock.advance(50);
    expect(seen).toEqual({ started: 1, aborted: [] });
    givesUp.abort();
    expect(await clock.run(Promise.all(outcomes))).toEqual(['request.aborted', waiting, waiting]);
    await clock.run(slow.count());
    expect(seen).toEqual({ started: 1, aborted: ['request.cancelled'] });

    await clock.run(client.close());
    await clock.run(node.stop());
  },
);
