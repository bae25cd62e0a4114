import { connect } from '@nats-io/transport-node';
import type { DataLink } from '@perkey/core';
import { startNatsServer } from '@perkey/nats/dev';
import { expect, test } from 'vitest';
import { environmentOf, Links, type Told } from './nats-fixture.ts';

const frames = 300;

/** Counts the turns of the event loop. */
class Turns implements Disposable {
  count = 0;
  #next: NodeJS.Immediate;

  constructor() {
    const turn = (): void => {
      this.count += 1;
      this.#next = setImmediate(turn);
    };
    this.#next = setImmediate(turn);
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#next);
  }
}

function standStill(ms: number = 50): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

/** A node that takes 1 ms for each frame, and notes in which turn of the event loop it had it. */
async function slowNode(links: Links, servers: string, turns: Turns): Promise<{ link: DataLink; told: Told; seenIn: number[] }> {
  const node = await links.node({ servers }, environmentOf());
  const seenIn: number[] = [];
  const onFrame = node.told.onFrame.bind(node.told);
  node.told.onFrame = (frame, from, via) => {
    seenIn.push(turns.count);
    standStill(1);
    onFrame(frame, from, via);
  };
  return { ...node, seenIn };
}

test('a flood of frames leaves the event loop its turns, and arrives whole and in order', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  using turns = new Turns();
  const { link, told, seenIn } = await slowNode(links, server.url, turns);
  const stranger = await connect({ servers: server.url, reconnect: false });
  for (let i = 0; i < frames; i += 1) stranger.publish(link.address, `${i}`);
  await told.until('all frames', () => told.frames.length === frames);
  await stranger.close();
  expect(told.frames.map(({ text }) => text)).toEqual(Array.from({ length: frames }, (_, i) => `${i}`));
  const perTurn = Map.groupBy(seenIn, (turn) => turn);
  expect(Math.max(...[...perTurn.values()].map(({ length }) => length))).toBeLessThanOrEqual(12);
});

test('a link that retires in the middle of a flood first hands over what the server had sent it', async () => {
  await using server = await startNatsServer();
  await using links = new Links();
  using turns = new Turns();
  const { link, told } = await slowNode(links, server.url, turns);
  const stranger = await connect({ servers: server.url, reconnect: false });
  for (let i = 0; i < frames; i += 1) stranger.publish(link.address, `${i}`);
  // Both connections are written to while this process reads nothing, so that the frames and the server's last word are read at once.
  await Promise.resolve();
  standStill();
  const retired = link.retire();
  await Promise.resolve();
  standStill();
  await retired;
  expect(told.frames).toHaveLength(frames);
  await stranger.close();
});
