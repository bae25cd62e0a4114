import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { errorCatalogue } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { CarriedActor } from '../contract/calls.ts';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import type { Asked } from '../testkit/actor-fixture.ts';
import { defineActor } from './definition.ts';

const Log = defineActor('log', {
  sync: { input: z.number() },
  later: { input: z.number() },
  chat: { input: z.number() },
  fail: { input: z.number() },
  read: { output: z.array(z.number()) },
});

interface Op {
  readonly kind: 'ask' | 'advance' | 'lease' | 'close' | 'drop' | 'pause' | 'resume';
  readonly key: number;
  readonly method: 'sync' | 'later' | 'chat' | 'fail';
  readonly ms: number;
  readonly repeat: boolean;
}

const op: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom('ask', 'ask', 'ask', 'ask', 'ask', 'advance', 'advance', 'lease', 'close', 'drop', 'pause', 'resume'),
  key: fc.integer({ min: 0, max: 2 }),
  method: fc.constantFrom('sync', 'later', 'chat', 'fail'),
  ms: fc.integer({ min: 0, max: 120 }),
  repeat: fc.boolean(),
});

/** What handlers did, in the order in which they did it. */
class Trace {
  readonly runs: { readonly key: string; readonly n: number }[] = [];
  readonly open = new Map<string, number>();
  overlaps = 0;

  begin(key: string, n: number): void {
    if (this.open.has(key)) this.overlaps += 1;
    this.open.set(key, n);
    this.runs.push({ key, n });
  }

  end(key: string, n: number): void {
    if (this.open.get(key) === n) this.open.delete(key);
  }
}

function host(trace: Trace): ActorFixture {
  const fixture: ActorFixture = new ActorFixture(
    [
      Log.host({
        state: (): number[] => [],
        sync(ctx, n) {
          trace.begin(ctx.key, n);
          ctx.state.push(n);
          trace.end(ctx.key, n);
        },
        async later(ctx, n) {
          const { key } = ctx;
          trace.begin(key, n);
          await new Promise<void>((resolve) => fixture.clock.setTimer(n % 90, resolve));
          trace.end(key, n);
          ctx.state.push(n);
        },
        async chat(ctx, n) {
          const { key } = ctx;
          trace.begin(key, n);
          await ctx.actor(Log, 'friend').read({ timeoutMs: 50 });
          trace.end(key, n);
          ctx.state.push(n);
        },
        fail(ctx, n) {
          trace.begin(ctx.key, n);
          trace.end(ctx.key, n);
          throw new Error('as told');
        },
        read: (ctx) => ctx.state,
        onActivate: (ctx, origin) => ctx.timers.set('beat', { everyMs: origin === 'new' ? 30 : 40 }),
        timers: { beat: (ctx) => void ctx.state.length },
        turnTimeoutMs: 80,
      }),
    ],
    { settings: { mailboxMax: 5 } },
  );
  return fixture;
}

test('whatever happens, every request has one outcome that is true, and turns of one key are serial and in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 5, maxLength: 60 }), async (ops) => {
      const trace = new Trace();
      const fixture = host(trace);
      const asked: {
        readonly key: string;
        readonly n: number;
        readonly repeated: boolean;
        readonly asked: Asked;
        readonly turn: string;
      }[] = [];
      let carried: readonly CarriedActor[] = [];
      for (const { kind, key, method, ms, repeat } of ops) {
        const name = `k${key}`;
        if (kind === 'ask') {
          const n = asked.length;
          const more = { deadline: fixture.clock.now() + 300, ...(repeat ? { idempotencyKey: `same-${method}` } : {}) };
          asked.push({ key: name, n, repeated: repeat, asked: fixture.ask('log', name, method, n, more), turn: method });
        } else if (kind === 'advance') await fixture.clock.advance(ms);
        else if (kind === 'lease') {
          fixture.mayAct = !fixture.mayAct;
          if (fixture.mayAct) fixture.host.resume();
        } else if (kind === 'pause') fixture.host.control('log', name)?.pause();
        else if (kind === 'resume') fixture.host.control('log', name)?.resume();
        else if (kind === 'drop') {
          fixture.host.dropShard(0);
          trace.open.clear();
          fixture.host.openShard(0, 8, []);
        } else {
          carried = await fixture.clock.run(fixture.host.closeShard(0, { drainMs: ms, successor: 'b' }));
          trace.open.clear();
          fixture.host.openShard(0, 9, structuredClone(carried));
        }
      }
      fixture.mayAct = true;
      fixture.host.resume();
      for (let key = 0; key < 3; key += 1) fixture.host.control('log', `k${key}`)?.resume();
      await fixture.clock.advance(1_000);
      await fixture.clock.run(fixture.host.stop());
      await fixture.clock.advance(1_000);

      // I7: serial. A turn that was given up may end beside the next one of its key; it is not counted as open any more.
      expect(trace.overlaps).toBeLessThanOrEqual(
        asked.filter((one) => ['turn.timeout', 'turn.abandoned'].includes(one.asked.outcome)).length,
      );
      // I6: what ran of one key ran in the order of its requests.
      for (const key of ['k0', 'k1', 'k2']) {
        const order = trace.runs.filter((run) => run.key === key).map((run) => run.n);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
      for (const {
        n,
        asked: { outcome },
        repeated,
      } of asked) {
        const ran = trace.runs.filter((run) => run.n === n).length;
        expect(outcome, `request ${n}`).not.toBe('waiting');
        expect(ran).toBeLessThanOrEqual(1);
        // I11: what is told not to have run did not run; what is told to have run did, or its first sending did.
        const verdict = outcome === 'ok' ? 'yes' : errorCatalogue[outcome as ErrorCode].executed;
        if (verdict === 'no') expect(ran, `${outcome} of request ${n}`).toBe(0);
        if (verdict === 'yes' && !repeated) expect(ran, `${outcome} of request ${n}`).toBe(1);
      }
      expect(fixture.host.inspect()).toMatchObject({ resident: 0, waiting: 0, running: 0, quarantined: 0, withheld: 0 });
      expect(fixture.clock.pending).toBe(0);
    }),
    { numRuns: 60 },
  );
});
