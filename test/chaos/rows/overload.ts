import { readFile } from 'node:fs/promises';
import { machineMs } from '../harness/machine-clock.ts';
import { type Ends, OpenLoad, percentile } from '../harness/open-load.ts';
import type { Row, Stage } from '../harness/row.ts';

/** A turn takes so much of the processor, so that the nodes are the narrow place and not the callers. */
const turnUs = 6_000;
const timeoutMs = 1_000;
const megabyte = 1_048_576;

/** F17: ten times what the nodes can do. */
const overload: Row = {
  id: 'F17',
  keepsState: true,
  fault: '10 x overload for 60 s: turns of 6 ms, calls with a deadline of 1 s',
  toReach:
    'goodput >= 90 % of the peak; refusals typed and <= 50 ms; p99 of accepted <= deadline; memory bounded; back <= 1 s; evictions 0',
  world: { nodes: ['a', 'b'] },
  perSecond: 50,
  // The load beside it meets full nodes as well.
  okMin: 0,
  mayEnd: /./,
  async run(stage) {
    const { world, load } = stage;
    const work = new OpenLoad([await world.client(), await world.client()], { us: turnUs, timeoutMs, keys: 1_000 });
    const peak = await work.closed(40, stage.intensity.short ? 4_000 : 10_000);
    const peakPerSecond = peak.ok / peak.seconds;
    stage.note('peak', peakPerSecond, 'calls/s');
    stage.note('p99 at the peak', percentile(peak.okMs, 0.99), 'ms');
    const turnoverBefore = world.observer.turnover.length;
    const idle = await rss(stage);
    work.take();
    work.start(peakPerSecond * 10);
    const seconds = stage.intensity.short ? 15 : 60;
    const spans: Ends[] = [];
    let highest = 0;
    for (let i = 0; i < seconds; i += 1) {
      await load.pass(1_000);
      spans.push(work.take());
      highest = Math.max(highest, await rss(stage));
    }
    const offered = work.calls;
    work.stop();
    const endedAt = machineMs();
    const refused = spans.flatMap(({ refusedMs }) => refusedMs).sort((a, b) => a - b);
    const okMs = spans.flatMap(({ okMs: some }) => some).sort((a, b) => a - b);
    const goodput = okMs.length / spans.reduce((sum, span) => sum + span.seconds, 0);
    stage.note('offered', offered / seconds, 'calls/s');
    stage.bit('far more was offered than the peak', offered / seconds > 3 * peakPerSecond);
    stage.bit('calls were refused', refused.length > 0);
    stage.above('goodput', (100 * goodput) / peakPerSecond, 90, '% of the peak');
    stage.atMost('p99 of refusals', percentile(refused, 0.99), 50);
    stage.atMost('p99 of accepted calls', percentile(okMs, 0.99), timeoutMs);
    stage.below('memory of the nodes above idle', (highest - idle) / megabyte, 512, 'MB');
    const codes = spans.reduce<Record<string, number>>((sum, span) => {
      for (const [code, count] of Object.entries(span.codes)) sum[code] = (sum[code] ?? 0) + count;
      return sum;
    }, {});
    for (const [code, count] of Object.entries(codes)) stage.note(code, count, 'calls');
    const untyped = Object.keys(codes).filter((code) => code.startsWith('?'));
    stage.check('calls ended untyped', untyped.length === 0, untyped);
    await backToNormal(stage, endedAt);
    stage.exactly('evictions', world.observer.turnover.length - turnoverBefore, 0);
  },
};

/** The first moment from which one read of every tenth key is answered within 50 ms each. */
async function backToNormal(stage: Stage, since: number): Promise<void> {
  const { load } = stage;
  const some = load.keys.filter((_, i) => i % 10 === 0);
  for (;;) {
    const begun = machineMs();
    const ends = await Promise.all(some.map((key) => load.get(key, 2_000)));
    if (ends.every(({ t0, t1, told }) => 'ok' in told && t1 - t0 <= 50)) {
      stage.atMost('back to normal after', Math.max(0, begun - since), 1_000);
      return;
    }
    if (begun - since > 60_000) throw new Error('the nodes are not back after 60 s');
  }
}

/** Resident memory of all nodes together. */
async function rss({ world }: Stage): Promise<number> {
  const texts = await Promise.all(world.nodes.map(({ pid }) => readFile(`/proc/${pid}/statm`, 'utf8')));
  return texts.reduce((sum, text) => sum + Number(text.split(' ')[1]) * 4_096, 0);
}

export const overloadRows: readonly Row[] = [overload];
