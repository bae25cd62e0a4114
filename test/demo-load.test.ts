import { describe, expect, test } from 'vitest';
import { DemoProcess, freshCluster } from './support/demo-process.ts';
import { HttpLoad } from './support/http-load.ts';

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `load ${index}`);

function pidOf(demo: DemoProcess, nodeId: string): number {
  return demo.lines.findLast(({ msg, nodeId: named }) => msg === 'started the process of a node' && named === nodeId)?.pid as number;
}

describe.each([[[]], [['--processes']]])('counts are exact with %j', (args) => {
  test('of one counter, and of thousands', { timeout: 60_000 }, async () => {
    await using demo = await DemoProcess.ready(args);
    for (const [ids, requests] of [
      [1, 10_000],
      [5_000, 15_000],
    ] as const) {
      const load = new HttpLoad({ url: demo.url, connections: 100, ids: names(ids), requests });
      await load.done;
      expect(load.failures).toEqual([]);
      const values = await load.values();
      const before = ids === 1 ? 0 : 10_000;
      for (const [index, id] of names(ids).entries()) expect(values.get(id)).toBe(requests / ids + (index === 0 ? before : 0));
      load.close();
    }
  });
});

test('nodes come and go under load: no request fails, and every count is exact', { timeout: 60_000 }, async () => {
  const cluster = freshCluster();
  await using demo = await DemoProcess.ready(['--processes', '--cluster', cluster]);
  const load = new HttpLoad({ url: demo.url, connections: 50, ids: names(300) });
  await load.more(1_000);

  await using guest = new DemoProcess('node-main', ['--id', 'node-7', '--cluster', cluster, '--log-level', 'debug']);
  await guest.line('node joined the cluster');
  await load.more(3_000);
  expect((await guest.stop()).code).toBe(0);
  await load.more(1_000);

  process.kill(pidOf(demo, 'node-3'), 'SIGTERM');
  const left = await demo.line('the process of a node has ended', ({ nodeId }) => nodeId === 'node-3');
  expect(left).toMatchObject({ code: 0, signal: null });
  await load.more(1_000);

  await load.stop();
  expect(load.failures).toEqual([]);
  expect(await load.inexact()).toEqual([]);
  load.close();
});

describe('a node that is killed', () => {
  test.each([
    ['supervised', [], 500],
    ['without a supervisor', ['--no-supervisor'], 3_000],
  ])('%s: only its counters start again, in time', { timeout: 60_000 }, async (_name, args, limitMs) => {
    await using demo = await DemoProcess.ready(['--processes', ...args]);
    const ids = names(70);
    const load = new HttpLoad({ url: demo.url, ids });
    await load.more(2_000);

    const killedAt = load.mark();
    process.kill(pidOf(demo, 'node-2'), 'SIGKILL');
    await load.more(3_000);
    while (ids.some((id) => load.of(id).firstOkSinceMark === Number.POSITIVE_INFINITY)) await load.more(50);
    await load.stop();

    const values = await load.values();
    const restarted = ids.filter((id) => !load.isExact(id, values.get(id)!));
    expect(restarted.length).toBeGreaterThan(0);
    expect(restarted.length).toBeLessThan(30);
    for (const id of restarted) {
      const { okSentSinceMark, okAnsweredSinceMark, unknown } = load.of(id);
      expect(values.get(id)).toBeGreaterThanOrEqual(okSentSinceMark);
      expect(values.get(id)).toBeLessThanOrEqual(okAnsweredSinceMark + unknown);
    }
    for (const { status, body } of load.failures) {
      expect([status, (JSON.parse(body) as { readonly executed: string }).executed]).toEqual([502, 'unknown']);
    }
    const back = Math.max(...restarted.map((id) => load.of(id).firstOkSinceMark - killedAt));
    const pause = Math.max(...ids.filter((id) => !restarted.includes(id)).map((id) => load.of(id).longestGapMs));
    const [backMs, pauseMs] = [Math.round(back), Math.round(pause)];
    console.log(
      `${restarted.length} of 70 ids back after ${backMs} ms, the others paused ${pauseMs} ms at most, ${load.failures.length} unknown`,
    );
    expect(back).toBeLessThan(limitMs);
    expect(pause).toBeLessThan(500);
    load.close();
  });
});
