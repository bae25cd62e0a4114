import { expect, test } from 'vitest';
import { z } from 'zod';
import type { PerkeyError } from '../base/errors.ts';
import { ActorFixture } from '../testkit/actor-fixture.ts';
import type { ActorContext } from './actor-context.ts';
import { defineActor } from './definition.ts';

type AnyContext = ActorContext<{ readonly methods: Record<string, object>; readonly errors: Record<string, never> }, unknown>;

const Probe = defineActor('probe', { run: { output: z.unknown() }, other: { output: z.unknown() } }, { errors: { odd: z.string() } });

/** An actor that does what the test says, with the contexts of its turns. */
function probe(run: (ctx: AnyContext) => unknown, other: (ctx: AnyContext) => unknown = () => undefined) {
  return new ActorFixture([
    Probe.host({
      state: (): unknown => ({ n: 0 }),
      run: (ctx) => run(ctx as unknown as AnyContext),
      other: (ctx) => other(ctx as unknown as AnyContext),
      timers: { tick() {} },
    }),
  ]);
}

test('a context tells who and where', () => {
  const fixture = probe((ctx) => [ctx.type, ctx.key, ctx.nodeId, ctx.epoch, ctx.headers, ctx.remainingMs(), ctx.state]);
  const headers = { traceparent: '00-1-2-01' };
  expect(fixture.ask('probe', 'k', 'run', undefined, { headers }).value).toEqual(['probe', 'k', 'node-a', 7, headers, 5_000, { n: 0 }]);
});

test('the time of a context is that of the clock that its node was given', async () => {
  const fixture = probe((ctx) => ctx.now());
  expect(fixture.ask('probe', 'k', 'run').value).toBe(fixture.clock.wall());
  await fixture.clock.advance(86_400_000);
  expect(fixture.ask('probe', 'k', 'run').value).toBe(fixture.clock.wall());
});

test('a call that its turn did not wait for does not end the process when it fails; the log says so', async () => {
  const unhandled: unknown[] = [];
  const note = (thrown: unknown): void => void unhandled.push(thrown);
  process.on('unhandledRejection', note);
  const forgetful = (ctx: AnyContext): void => void ctx.actor(Probe, 'x').other();
  const fixture = probe(forgetful, async () => {
    await Promise.resolve();
    throw new Error('odd');
  });
  expect(fixture.ask('probe', 'k', 'run').outcome).toBe('ok');
  await fixture.clock.settle();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
  const said = fixture.lines.filter(({ message }) => message.startsWith('a call failed when the turn that made it had ended'));
  expect(said.map(({ level, fields }) => [level, fields['type'], fields['key'], (fields['err'] as PerkeyError).code])).toEqual([
    ['warn', 'probe', 'k', 'handler.failed'],
  ]);
});

test('a call that its turn waits for is told to the turn only', async () => {
  const fixture = probe(
    (ctx) =>
      ctx
        .actor(Probe, 'x')
        .other()
        .catch(({ code }: PerkeyError) => code),
    () => {
      throw new Error('odd');
    },
  );
  const asked = fixture.ask('probe', 'k', 'run');
  await fixture.clock.settle();
  expect(asked.value).toBe('handler.failed');
  expect(fixture.lines.map(({ message }) => message)).toEqual(['actor code threw']);
});

test('state may be replaced', () => {
  const fixture = probe(
    (ctx) => {
      ctx.state = { n: 5 };
    },
    (ctx) => ctx.state,
  );
  fixture.ask('probe', 'k', 'run');
  expect(fixture.ask('probe', 'k', 'other').value).toEqual({ n: 5 });
});

test('the log carries type and key, made safe', () => {
  const fixture = probe((ctx) => ctx.log.info({ a: 1 }, 'hello'));
  fixture.ask('probe', 'k\n\u001b[31m', 'run');
  expect(fixture.lines).toEqual([{ level: 'info', fields: { type: 'probe', key: 'k\\n\\u001b[31m', a: 1 }, message: 'hello' }]);
});

test('a context that outlives its turn throws on every use', async () => {
  let kept: AnyContext | undefined;
  const fixture = probe((ctx) => {
    kept = ctx;
    return ctx.actor(Probe, 'x');
  });
  fixture.ask('probe', 'k', 'run');
  const ctx = kept as AnyContext;
  const uses: ((used: AnyContext) => unknown)[] = [
    (used) => used.state,
    (used) => (used.state = 1),
    (used) => used.key,
    (used) => used.log,
    (used) => used.signal,
    (used) => used.epoch,
    (used) => used.self,
    (used) => used.actor(Probe, 'x'),
    (used) => used.notify(Probe, 'x'),
    (used) => used.background(async () => {}),
    (used) => used.timers.set('tick', { afterMs: 1 }),
    (used) => used.timers.cancel('tick'),
    (used) => used.error('odd' as never, 'x' as never),
    (used) => used.passivate(),
  ];
  for (const use of uses) expect(() => use(ctx), String(use)).toThrow(expect.objectContaining({ code: 'turn.abandoned', executed: 'no' }));
});

test('a handle made in a turn cannot be used after it', async () => {
  let kept: (() => Promise<unknown>) | undefined;
  const fixture = probe((ctx) => {
    const handle = ctx.actor(Probe, 'x');
    kept = () => handle.other();
  });
  fixture.ask('probe', 'k', 'run');
  await expect(kept?.()).rejects.toMatchObject({ code: 'turn.abandoned' });
});

test('calls inherit deadline, chain, trace headers and the name of their story', async () => {
  const fixture = probe(async (ctx) => {
    await ctx.actor(Probe, 'x').other({ timeoutMs: 10, headers: { mine: '1' } });
    ctx.notify(Probe, 'y').other();
  });
  const headers = { traceparent: 't', tracestate: 's', baggage: 'b', cookie: 'c', 'correlation-id': 'o', 'causation-id': 'x' };
  const deadline = fixture.clock.now() + 700;
  const asked = fixture.ask('probe', 'k', 'run', undefined, { headers, deadline, chain: ['probe/root'] });
  await fixture.clock.settle();
  expect(asked.outcome).toBe('ok');
  const traced = { traceparent: 't', tracestate: 's', baggage: 'b', 'correlation-id': 'o' };
  expect(fixture.calls[0]).toMatchObject({ timeoutMs: 10, deadline, chain: ['probe/root', 'probe/k'], headers: { ...traced, mine: '1' } });
  expect(fixture.calls[1]).toEqual({ chain: ['probe/root', 'probe/k'], headers: traced });
});

test('a call that would wait for itself is refused with its path', async () => {
  const fixture = probe(
    (ctx) => ctx.actor(Probe, 'b').other(),
    (ctx) =>
      ctx
        .actor(Probe, 'a')
        .run()
        .catch((error: PerkeyError) => [error.code, error.details]),
  );
  const asked = fixture.ask('probe', 'a', 'run');
  await fixture.clock.settle();
  expect(asked.value).toEqual(['call.cycle', { path: ['probe/a', 'probe/b', 'probe/a'] }]);
  const itself = probe((ctx) =>
    ctx
      .actor(Probe, 'a')
      .other()
      .catch((error: PerkeyError) => error.code),
  );
  const alone = itself.ask('probe', 'a', 'run');
  await itself.clock.settle();
  expect(alone.value).toBe('call.cycle');
});

test('keys of other actors are checked', () => {
  const fixture = probe((ctx) => ctx.actor(Probe, ''));
  expect(fixture.ask('probe', 'a', 'run').error).toMatchObject({ code: 'handler.failed', details: { cause: 'key.invalid' } });
});

test('an undeclared domain error is a failure', () => {
  const fixture = probe((ctx) => {
    throw ctx.error('toString' as never, 1 as never);
  });
  expect(fixture.ask('probe', 'a', 'run').outcome).toBe('handler.failed');
});

test('the signal aborts at the deadline, and the turn goes on', async () => {
  let seen: AbortSignal | undefined;
  let end: (() => void) | undefined;
  const fixture = probe(async (ctx) => {
    seen = ctx.signal;
    await new Promise<void>((resolve) => (end = resolve));
    return [ctx.signal.aborted, ctx.remainingMs()];
  });
  const asked = fixture.ask('probe', 'a', 'run', undefined, { deadline: fixture.clock.now() + 200 });
  await fixture.clock.advance(190);
  expect(seen?.aborted).toBe(false);
  await fixture.clock.advance(40);
  expect(seen?.reason).toMatchObject({ code: 'deadline.exceeded' });
  expect(asked.outcome).toBe('waiting');
  end?.();
  await fixture.clock.settle();
  expect(asked.value).toEqual([true, 0]);
});

test('a signal asked for after the deadline is aborted already', async () => {
  const fixture = probe(async (ctx) => {
    await new Promise<void>((resolve) => fixture.clock.setTimer(300, resolve));
    return ctx.signal.aborted;
  });
  const asked = fixture.ask('probe', 'a', 'run', undefined, { deadline: fixture.clock.now() + 200 });
  await fixture.clock.advance(400);
  expect(asked.value).toBe(true);
});

test('nothing is watched while nothing runs', async () => {
  const fixture = probe(async (ctx) => {
    await new Promise<void>((resolve) => fixture.clock.setTimer(300, resolve));
    return ctx.key;
  });
  fixture.ask('probe', 'a', 'run');
  await fixture.clock.advance(1_000);
  expect(fixture.clock.pending).toBe(0);
});
