import { connect as natsConnect } from '@nats-io/transport-node';
import { PerkeyError } from '@perkey/core';
import { shardOf } from '@perkey/core/internal';
import { malformedFrames } from '../../faults/support/raw-frames.ts';
import { Brittle, Odd } from '../harness/ledger.ts';
import { shardCount } from '../harness/judge.ts';
import { machineMs } from '../harness/machine-clock.ts';
import { CannotRun } from '../harness/cannot-run.ts';
import type { Row, Stage } from '../harness/row.ts';

interface End {
  readonly code: string;
  readonly executed: string;
  readonly ms: number;
}

/** How a call ended, and after what time. */
async function endOf(run: () => Promise<unknown>): Promise<End> {
  const since = machineMs();
  const end = (code: string, executed: string): End => ({ code, executed, ms: machineMs() - since });
  try {
    await run();
    return end('ok', 'yes');
  } catch (error) {
    if (!(error instanceof PerkeyError)) throw error;
    return end(error.code, error.executed);
  }
}

function noConnectionWasLost(stage: Stage): void {
  const lost = stage.world.nodes.flatMap((node) => node.logged('the connection to NATS was lost'));
  stage.exactly('connections lost', lost.length, 0);
}

/** F16: a handler that never resolves. */
const hanging: Row = {
  id: 'F16',
  keepsState: true,
  fault: 'a handler never resolves (turn limit 2 s)',
  toReach:
    'callers are told <= 1 s after the limit; the actor refuses at once, other keys notice nothing; served again once its shard has moved',
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    const client = await world.client();
    const [key = ''] = stage.keysOf('a', 1);
    await load.pass(1_500);
    const usual = load.latency(machineMs() - 1_000, Infinity);
    const since = machineMs();
    const hung = await endOf(() => client.actor(Odd, key).hang({ timeoutMs: 10_000 }));
    stage.bit('the turn was given up', hung.code === 'turn.timeout' && hung.executed === 'unknown');
    stage.atMost('told after', hung.ms, 3_000);
    const next = await endOf(() => client.actor(Odd, key).ping());
    stage.check('the next call is not refused', next.code === 'actor.quarantined' && next.executed === 'no', next);
    stage.atMost('p99 of other keys', load.latency(since, machineMs()).p99Ms, Math.max(2 * usual.p99Ms, 5));
    stage.note('p99 before', usual.p99Ms, 'ms');
    await world.stop('a');
    const moved = await endOf(() => client.actor(Odd, key).ping());
    stage.check('it is not served after the move', moved.code === 'ok', moved);
  },
};

/** F18: a node gets next to no time of the processor. */
const starved: Row = {
  id: 'F18',
  keepsState: true,
  fault: 'a node gets 3 % of a processor',
  toReach: 'slow, not dead: evictions 0',
  perSecond: 400,
  mayEnd: /^unknown deadline\.exceeded$|^no request\.expired$/,
  async run(stage) {
    const { world, load } = stage;
    await load.pass(1_000);
    const usual = load.latency(machineMs() - 1_000, Infinity, stage.keysOf('a'));
    const before = world.observer.turnover.length;
    const group = await world.starve('a', 3);
    if (group === undefined) throw new CannotRun('this machine has no control groups that can be written');
    const since = machineMs();
    await load.pass(stage.intensity.short ? 5_000 : 15_000);
    const during = load.latency(since, machineMs(), stage.keysOf('a'));
    await group.end();
    stage.note('p99 before', usual.p99Ms, 'ms');
    stage.note('p99 meanwhile', during.p99Ms, 'ms');
    stage.bit('its calls were slower', during.p99Ms > usual.p99Ms + 20);
    stage.exactly('evictions', world.observer.turnover.length - before, 0);
    await load.recovered(load.keys, machineMs());
  },
};

/** F19: messages on which handlers, or activations, fail. */
const poison: Row = {
  id: 'F19',
  keepsState: true,
  fault: 'poison: handlers that throw, an actor that cannot be activated',
  toReach: 'an error to the caller; after 5 failures the activation waits; other keys 0 errors; the node stays up',
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    const client = await world.client();
    await load.pass(500);
    const [key = ''] = stage.keysOf('a', 1);
    const failed = await Promise.all(Array.from({ length: 500 }, () => endOf(() => client.actor(Odd, key).fail())));
    stage.bit(
      'every handler failed',
      failed.every(({ code, executed }) => code === 'handler.failed' && executed === 'yes'),
    );
    const ends: End[] = [];
    for (let i = 0; i < 50; i += 1) ends.push(await endOf(() => client.actor(Brittle, key).ping({ timeoutMs: 1_000 })));
    const codes = Object.entries(Object.groupBy(ends, ({ code }) => code)).map(([code, same]) => [code, same?.length ?? 0] as const);
    stage.check(
      'every call ends with the same error',
      codes.every(([code]) => code.startsWith('actor.')),
      codes,
    );
    for (const [code, count] of codes) stage.note(code, count, 'calls');
    stage.atMost('told after', Math.max(...ends.map(({ ms }) => ms)), 500);
    const odd = await endOf(() => client.actor(Odd, key).ping());
    stage.check('the actor of the failed handlers does not serve', odd.code === 'ok', odd);
    stage.check(
      'a node has ended',
      world.nodes.every(({ running, incarnations }) => running && incarnations.length === 1),
    );
  },
};

const maxPayload = 65_536;

/** F20: what is larger than the server takes. */
const tooLarge: Row = {
  id: 'F20',
  keepsState: true,
  fault: 'requests and replies larger than the limit, and larger than the server takes',
  toReach: 'typed before it is sent, the right party is told <= 100 ms; 0 disconnects',
  world: { serverConfig: `max_payload: ${maxPayload}` },
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    const client = await world.client();
    const [key = ''] = stage.keysOf('a', 1);
    await load.pass(500);
    const request = (bytes: number): Promise<End> => endOf(() => client.actor(Odd, key).swallow('x'.repeat(bytes)));
    const reply = (bytes: number): Promise<End> => endOf(() => client.actor(Odd, key).produce({ bytes }));
    const requests = [await request(maxPayload), await request(300_000), await request(1_200_000)];
    const replies = [await reply(maxPayload), await reply(300_000), await reply(1_200_000)];
    stage.bit(
      'requests were refused',
      requests.every(({ code, executed }) => code === 'payload.too_large' && executed === 'no'),
    );
    stage.bit(
      'replies were refused',
      replies.every(({ code, executed }) => code === 'reply.too_large' && executed === 'yes'),
    );
    stage.check('replies and requests', true, [requests, replies]);
    stage.atMost('told after', Math.max(...[...requests, ...replies].map(({ ms }) => ms)), 100);
    noConnectionWasLost(stage);
  },
};

/** F21: frames that no part of the product would send. */
const malformed: Row = {
  id: 'F21',
  keepsState: true,
  fault: 'malformed frames of every kind, 200 of each, to the subject of a node under load',
  toReach: 'other callers 0 errors; no connection lost; no stall > 50 ms',
  mayEnd: /^never$/,
  async run(stage) {
    const { world, load } = stage;
    const { nodeId, incarnation } = world.node('a');
    const [key = ''] = stage.keysOf('a', 1);
    const shard = shardOf(key, shardCount);
    await load.pass(1_000);
    const raw = await natsConnect({ servers: world.server.url, reconnect: false });
    const since = machineMs();
    let sent = 0;
    try {
      for (let round = 0; round < 200; round += 1) {
        for (const [, frame] of malformedFrames(shard, world.observer.shards.get(shard)?.epoch ?? 1)) {
          raw.publish(`perkey.${world.cluster}.node.${nodeId}.${incarnation}`, frame);
          sent += 1;
        }
        await raw.flush();
      }
      stage.check('the sender was disconnected', !raw.isClosed());
    } finally {
      await raw.close();
    }
    const { p99Ms } = load.latency(since, machineMs(), stage.keysOf('a'));
    stage.note('frames sent', sent, 'frames');
    stage.note('p99 of calls meanwhile', p99Ms, 'ms');
    stage.bit(
      'the node noticed',
      world.node('a').log.some(({ message }) => message.includes('frame')),
    );
    stage.check('the log repeats every frame', world.node('a').log.length < 100, world.node('a').log.length);
    noConnectionWasLost(stage);
    stage.exactly('incarnations', world.node('a').incarnations.length, 1);
  },
};

export const limitRows: readonly Row[] = [hanging, starved, poison, tooLarge, malformed];
