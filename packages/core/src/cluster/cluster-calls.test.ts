import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineActor } from '../actor/definition.ts';
import { PerkeyError } from '../base/errors.ts';
import { type Random, seededRandom } from '../base/random.ts';
import type { Caller } from '../contract/calls.ts';
import type { CallRecord } from '../testkit/call-world/callers.ts';
import { breaches, tally } from '../testkit/call-world/checks.ts';
import type { Execution } from '../testkit/call-world/fake-host.ts';
import { TestCluster } from '../testkit/test-cluster.ts';

const Mark = z.object({ caller: z.string(), n: z.int() });
const Logbook = defineActor('logbook', { write: { input: Mark, output: Mark } });

/** Whole nodes with real actors, which write down what they execute, under faults by a seed. */
class Trial {
  readonly log: Execution[] = [];
  readonly callers: { readonly name: string; readonly calls: CallRecord[]; readonly router: { readonly inFlight: number } }[] = [];
  /** Callers whose process stood still for a time. */
  readonly stalled = new Set<string>();
  readonly #random: Random;
  #cluster!: TestCluster;
  #broken: string | undefined;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  async open(seed: number): Promise<void> {
    const logbook = Logbook.host({
      state: () => ({ turns: 0 }),
      write: async (ctx, mark) => {
        this.log.push({ ...mark, key: ctx.key, at: this.#cluster.clock.trueMs, by: ctx.nodeId });
        ctx.state.turns += 1;
        if (ctx.state.turns % 3 === 0) await new Promise<void>((resolve) => this.#cluster.clock.setTimer(this.#upTo(8), resolve));
        return mark;
      },
    });
    this.#cluster = await TestCluster.start({ actors: [logbook], nodes: 3, settings: { shards: 8 }, seed });
  }

  get nodeIds(): string[] {
    return ['node-0', 'node-1', 'node-2', 'node-3', 'node-4', 'node-5', 'node-6', 'node-7'].filter((nodeId) => {
      try {
        return this.#cluster.node(nodeId).state === 'active';
      } catch {
        return false;
      }
    });
  }

  #upTo(max: number): number {
    return this.#random.next() * max;
  }

  #burst(name: string, caller: Caller): void {
    let record = this.callers.find((one) => one.name === name);
    if (!record) this.callers.push((record = { name, calls: [], router: { inFlight: 0 } }));
    const count = 1 + Math.floor(this.#upTo(4));
    for (let i = 0; i < count; i += 1) {
      const timeoutMs = 50 + Math.floor(this.#upTo(6_000));
      const { clock } = this.#cluster;
      const call: CallRecord = {
        ...{ caller: name, n: record.calls.length + 1, key: `k${Math.floor(this.#upTo(6))}`, deadline: clock.trueMs + timeoutMs },
        ...{ mayRepeat: false, isNotify: false, settledAt: undefined, value: undefined, error: undefined },
      };
      record.calls.push(call);
      const input = { caller: name, n: call.n };
      const settled = (value: unknown, error: PerkeyError | undefined): void =>
        void Object.assign(call, { value, error, settledAt: clock.trueMs });
      caller.request('logbook', 'write', call.key, input, { timeoutMs }).then(
        (value) => settled(value, undefined),
        (error: PerkeyError) => settled(undefined, error),
      );
    }
  }

  /** One fault at a time, each for long enough to matter. */
  async #fault(): Promise<void> {
    const { nodeIds } = this;
    const nodeId = nodeIds[Math.floor(this.#upTo(nodeIds.length))]!;
    const faults = this.#cluster.faults(nodeId);
    if (this.#broken) {
      this.#cluster.faults(this.#broken).heal();
      this.#cluster.thawNode(this.#broken);
      this.#broken = undefined;
    } else if (nodeIds.length < 3) await this.#cluster.addNode();
    else this.#break(nodeId, faults, this.#random.next());
  }

  #break(nodeId: string, faults: ReturnType<TestCluster['faults']>, dice: number): void {
    if (dice < 0.15) this.#kill(nodeId);
    else if (dice < 0.3) void this.#cluster.node(nodeId).stop();
    else {
      this.#broken = nodeId;
      if (dice < 0.45) this.#freeze(nodeId);
      else if (dice < 0.6) faults.cut({ noticeAfterMs: this.#upTo(500) });
      else if (dice < 0.7) faults.cut({ link: 'control', noticeAfterMs: 200 });
      else if (dice < 0.8) faults.cut({ link: 'data', noticeAfterMs: this.#upTo(200) });
      else if (dice < 0.9) faults.delay(this.#upTo(30));
      else faults.disconnect();
    }
  }

  /** Nobody is left to be told of its calls. */
  #kill(nodeId: string): void {
    const name = `${nodeId} ${this.#cluster.node(nodeId).incarnation}`;
    const died = new PerkeyError('node.lost', 'the caller died');
    for (const call of this.callers.find((one) => one.name === name)?.calls ?? []) {
      if (call.settledAt === undefined) Object.assign(call, { error: died, settledAt: call.deadline });
    }
    this.#cluster.killNode(nodeId);
  }

  #freeze(nodeId: string): void {
    this.stalled.add(`${nodeId} ${this.#cluster.node(nodeId).incarnation}`);
    this.#cluster.freezeNode(nodeId);
  }

  async run(): Promise<void> {
    for (let round = 0; round < 60; round += 1) {
      if (this.#random.next() < 0.25) await this.#fault();
      for (let i = 0; i < 6; i += 1) {
        this.#burst('client', this.#cluster.client);
        for (const nodeId of this.nodeIds) {
          const node = this.#cluster.node(nodeId);
          if (nodeId !== this.#broken && this.#random.next() < 0.5) this.#burst(`${nodeId} ${node.incarnation}`, node);
        }
        await this.#cluster.advance(this.#upTo(120));
      }
    }
    if (this.#broken) this.#cluster.thawNode(this.#broken);
    this.#cluster.transport.healAll();
    await this.#cluster.advance(20_000);
  }

  inFlight(): number {
    const family = this.#cluster.client.metrics.snapshot().find(({ name }) => name === 'perkey_cluster_requests_in_flight');
    const series = family?.series[0];
    return series && 'value' in series ? series.value : -1;
  }
}

test.each(Array.from({ length: 12 }, (_, i) => i + 1))(
  'whole nodes under faults tell the truth and keep the order of each caller (seed %d)',
  async (seed) => {
    const trial = new Trial(seed);
    await trial.open(seed);
    await trial.run();
    expect(breaches(trial, { startLateMaxMs: 250, stalled: trial.stalled })).toEqual([]);
    expect(trial.inFlight()).toBe(0);
    expect(tally(trial).ok).toBeGreaterThan(500);
  },
);
