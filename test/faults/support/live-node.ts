import { connect as natsConnect, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { type Client, connect, defineActor, type Metrics, type Node, type NodeOptions, startNode } from '@perkey/core';
import { nats, type NatsOptions } from '@perkey/nats';
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { z } from 'zod';
import { LogKeeper } from '../../nats-fixture.ts';

export const Box = defineActor('box', {
  put: { input: z.object({ amount: z.number(), tags: z.array(z.object({ name: z.string() })).default([]) }), output: z.number() },
  get: { output: z.number(), readonly: true },
  produce: { input: z.object({ bytes: z.number() }), output: z.string() },
  swallow: { input: z.string(), output: z.number() },
  headers: { output: z.record(z.string(), z.string()) },
  fail: {},
});

export const Narrow = defineActor('narrow', { block: {}, ping: {} });
export const Stuck = defineActor('stuck', { hang: {}, ping: {} });

const box = Box.host({
  state: () => ({ value: 0 }),
  put: (ctx, { amount }) => (ctx.state.value += amount),
  get: (ctx) => ctx.state.value,
  produce: (_, { bytes }) => 'x'.repeat(bytes),
  swallow: (_, text) => text.length,
  headers: (ctx) => ({ ...ctx.headers }),
  fail: () => {
    throw new Error('a secret of the handler');
  },
});

/** A node and a client in this process, and a plain connection of somebody else, all on one server. */
export class LiveNode implements AsyncDisposable {
  readonly cluster: string;
  readonly node: Node;
  readonly client: Client;
  readonly raw: NatsConnection;
  readonly nodeLog: LogKeeper;
  readonly clientLog: LogKeeper;
  readonly #release: () => void;

  private constructor(fields: Pick<LiveNode, 'cluster' | 'node' | 'client' | 'raw' | 'nodeLog' | 'clientLog'>, release: () => void) {
    this.cluster = fields.cluster;
    this.node = fields.node;
    this.client = fields.client;
    this.raw = fields.raw;
    this.nodeLog = fields.nodeLog;
    this.clientLog = fields.clientLog;
    this.#release = release;
  }

  static async start(servers: string, options: Partial<NodeOptions> = {}, natsOptions: NatsOptions = {}): Promise<LiveNode> {
    const cluster = `live-${randomBytes(4).toString('hex')}`;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const narrow = Narrow.host({ mailboxMax: 3, state: () => ({}), block: () => released, ping: () => {} });
    const stuck = Stuck.host({ turnTimeoutMs: 150, state: () => ({}), hang: () => new Promise<void>(() => {}), ping: () => {} });
    const transport = nats({ servers, ...natsOptions });
    const nodeLog = new LogKeeper();
    const clientLog = new LogKeeper();
    const node = await startNode({ cluster, nodeId: 'n1', transport, actors: [box, narrow, stuck], log: nodeLog, ...options });
    const client = await connect({ cluster, transport, log: clientLog });
    const raw = await natsConnect({ servers, reconnect: false });
    const live = new LiveNode({ cluster, node, client, raw, nodeLog, clientLog }, release);
    await live.alive();
    return live;
  }

  get nodeSubject(): string {
    return `perkey.${this.cluster}.node.n1.${this.node.incarnation}`;
  }

  get peerSubject(): string {
    return `perkey.${this.cluster}.peer.n1.${this.node.incarnation}`;
  }

  /** Lets the turns of `narrow` end that block. */
  release(): void {
    this.#release();
  }

  /** Calls are answered at once, and no connection was lost since the start. */
  async alive(): Promise<void> {
    const since = performance.now();
    await this.client.actor(Box, 'alive').put({ amount: 1 }, { timeoutMs: 2_000 });
    expect(performance.now() - since).toBeLessThan(1_000);
    for (const log of [this.nodeLog, this.clientLog]) expect(log.with('the connection to NATS was lost')).toEqual([]);
    expect(this.raw.isClosed()).toBe(false);
  }

  /** A call in JSON, as by any NATS client. */
  call(subject: string, body: string, marks: Readonly<Record<string, string>> = {}): Promise<Msg> {
    const sent = headers();
    for (const [name, value] of Object.entries(marks)) sent.set(name, value);
    return this.raw.request(`perkey.${this.cluster}.call.${subject}`, body, { headers: sent, timeout: 5_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release();
    await this.raw.close();
    await this.client.close();
    await this.node.stop();
  }
}

/** The sum over all series of a family. */
export function counted(metrics: Metrics, name: string): number {
  const family = metrics.snapshot().find((one) => one.name === name);
  return (family?.series ?? []).reduce((sum, series) => sum + ('value' in series ? series.value : 0), 0);
}
