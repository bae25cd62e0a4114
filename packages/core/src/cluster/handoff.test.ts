import { expect, test } from 'vitest';
import { seededRandom } from '../base/random.ts';
import type { CarriedActor } from '../contract/calls.ts';
import type { DataLink } from '../contract/transport.ts';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { controlLimits, decodeControlFrame } from './frame.ts';
import { encodeActor, parseAck, parsePart, type TransferAck, type TransferPart, TransferReceiver, TransferSender } from './handoff.ts';

const self = { nodeId: 'a', incarnation: '1-a' };
const actor = (key: string, state: unknown = { key }): CarriedActor => ({ type: 't', key, state, window: undefined, timers: undefined });

/** A sender whose frames go to `onPart`. */
function sending(options: { partBytesMax?: number; up?: () => boolean; onPart: (part: TransferPart, token: number) => void }) {
  const clock = new VirtualClock();
  const link = {
    frameBytesMax: 4_096,
    send(_to: string, frame: Uint8Array, token: number): boolean {
      if (options.up?.() === false) return false;
      const copy = frame.slice();
      clock.defer(() => {
        const control = decodeControlFrame(copy, controlLimits);
        const part = 'problem' in control ? undefined : parsePart(control.value);
        copy.fill(0xff);
        if (part) options.onPart(part, token);
      });
      return true;
    },
  } as unknown as DataLink;
  const { partBytesMax = 1_024 } = options;
  const sender = new TransferSender({ clock, link, self, partTimeoutMs: 5_000, partBytesMax });
  return { clock, sender };
}

test('actors of any size arrive whole and in order, in parts that are not larger than asked for', async () => {
  const random = seededRandom(7);
  for (let round = 0; round < 100; round += 1) {
    const actors = Array.from({ length: Math.floor(random.next() * 8) }, (_, i) =>
      actor(`k${i}`, 'x'.repeat(Math.floor(random.next() * (random.next() < 0.3 ? 900 : 60)))),
    );
    const receiver = new TransferReceiver();
    const { clock, sender } = sending({
      partBytesMax: 100,
      onPart: (part) => {
        expect(part.actors.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(100);
        sender.onAck(receiver.receive(part));
      },
    });
    await clock.run(sender.send('to', 3, 'one', actors.map(encodeActor), 7));
    expect(receiver.take('one')).toEqual(actors);
    expect(receiver.take('one')).toBeUndefined();
    expect(clock.pending).toBe(0);
  }
});

test('lost frames and lost acknowledgements cost time and nothing else', async () => {
  const random = seededRandom(11);
  const actors = Array.from({ length: 20 }, (_, i) => actor(`k${i}`));
  const receiver = new TransferReceiver();
  const { clock, sender } = sending({
    partBytesMax: 64,
    onPart: (part) => {
      if (random.next() < 0.2) return;
      const ack = receiver.receive(part);
      if (random.next() >= 0.2) sender.onAck(ack);
    },
  });
  await clock.run(sender.send('to', 3, 'one', actors.map(encodeActor), 7));
  expect(receiver.take('one')).toEqual(actors);
});

test('a successor that never answers is given up after partTimeoutMs, and nothing is left behind', async () => {
  const { clock, sender } = sending({ onPart: () => {} });
  const start = clock.now();
  await expect(clock.run(sender.send('to', 3, 'one', [encodeActor(actor('k'))], 7))).rejects.toMatchObject({ code: 'node.unreachable' });
  expect(clock.now() - start).toBeGreaterThanOrEqual(5_000);
  expect(clock.now() - start).toBeLessThan(5_100);
  expect(clock.pending).toBe(0);
});

test('a link that is down, or goes down, rejects without waiting', async () => {
  let up = false;
  const { clock, sender } = sending({ onPart: () => {}, up: () => up });
  await expect(clock.run(sender.send('to', 3, 'one', [], 7), { limitMs: 1 })).rejects.toMatchObject({ code: 'node.unreachable' });
  up = true;
  const sent = sender.send('to', 3, 'two', [], 7);
  sent.catch(() => {});
  await clock.advance(10);
  up = false;
  await expect(clock.run(sent, { limitMs: 1_100 })).rejects.toMatchObject({ code: 'node.unreachable' });
});

test('frames that reached nobody reject at once; the tokens of requests are left alone', async () => {
  const tokens: number[] = [];
  const { clock, sender } = sending({ onPart: (_part, token) => tokens.push(token) });
  const sent = sender.send('to', 3, 'one', [], 7);
  sent.catch(() => {});
  await clock.advance(1);
  expect(sender.onUndeliverable(1)).toBe(false);
  expect(sender.onUndeliverable(tokens[0] ?? -1)).toBe(true);
  await expect(clock.run(sent, { limitMs: 1 })).rejects.toMatchObject({ code: 'node.unreachable' });
});

test('a receiver that cannot read an actor refuses it, and forgets what it had of that transfer', async () => {
  const receiver = new TransferReceiver();
  const { clock, sender } = sending({ onPart: (part) => sender.onAck(receiver.receive(part)), partBytesMax: 30 });
  const broken = new Uint8Array([0xc1, 0xff, 0x00]);
  const sent = sender.send('to', 3, 'one', [encodeActor(actor('fine')), broken], 7);
  await expect(clock.run(sent)).rejects.toMatchObject({ code: 'node.unreachable' });
  expect(receiver.take('one')).toBeUndefined();
  expect(receiver.size).toBe(0);
});

const part = (transfer: string, change: Partial<TransferPart> = {}): TransferPart => ({
  ...{ transfer, shard: 3, part: 0, last: true, from: self, epoch: 7, actors: [encodeActor(actor(transfer))], more: false },
  ...change,
});

test('a part of an earlier transfer that comes late does not void the later one', () => {
  const receiver = new TransferReceiver();
  receiver.receive(part('first', { last: false }));
  receiver.receive(part('second'));
  receiver.receive(part('first', { last: false }));
  receiver.receive(part('late', { last: false }));
  receiver.receive(part('later'));
  expect(receiver.take('second')).toEqual([actor('second')]);
  expect(receiver.take('later')).toBeUndefined();
});

test('a part that is repeated after its transfer was taken does not begin it anew', () => {
  const receiver = new TransferReceiver();
  receiver.receive(part('one'));
  expect(receiver.take('one')).toHaveLength(1);
  expect(receiver.receive(part('one'))).toEqual({ transfer: 'one', part: 0, accepted: true } satisfies TransferAck);
  expect(receiver.take('one')).toBeUndefined();
});

test('a transfer that misses a part is not held, and parts out of order are refused', () => {
  const receiver = new TransferReceiver();
  expect(receiver.receive(part('one', { part: 1 })).accepted).toBe(false);
  expect(receiver.receive(part('one', { last: false })).accepted).toBe(true);
  expect(receiver.receive(part('one', { part: 2 })).accepted).toBe(false);
  expect(receiver.take('one')).toBeUndefined();
});

test('what is held is bounded, whatever is sent', () => {
  const receiver = new TransferReceiver();
  for (let i = 0; i < 1_000; i += 1) receiver.receive(part(`t${i}`, { shard: i % 2, last: i % 3 === 0 }));
  expect(receiver.size).toBeLessThanOrEqual(8);
  expect(receiver.take('t999')).toBeDefined();
});

test('transfers of incarnations that are gone are swept, but for the one that the record names', () => {
  const receiver = new TransferReceiver();
  for (const name of ['void', 'named']) receiver.receive(part(name));
  receiver.receive(part('of another', { shard: 4, from: { nodeId: 'b', incarnation: '1-b' } }));
  receiver.sweep(
    ({ nodeId }) => nodeId === 'a',
    (transfer) => transfer === 'named',
  );
  expect(receiver.take('void')).toBeUndefined();
  expect(receiver.take('named')).toBeDefined();
  expect(receiver.take('of another')).toBeDefined();
  receiver.sweep(
    () => true,
    () => true,
  );
  expect(receiver.size).toBe(0);
});

test('what is no part and no acknowledgement is passed over', () => {
  const whole = { ...part('one') };
  expect(parsePart(whole)).toBe(whole);
  for (const name of Object.keys(whole)) expect(parsePart({ ...whole, [name]: name === 'actors' ? ['text'] : null })).toBeUndefined();
  const ack = { transfer: 'one', part: 0, accepted: true };
  expect(parseAck(ack)).toBe(ack);
  for (const name of Object.keys(ack)) expect(parseAck({ ...ack, [name]: null })).toBeUndefined();
  for (const value of [null, undefined, 1, 'text', []]) {
    expect(parsePart(value)).toBeUndefined();
    expect(parseAck(value)).toBeUndefined();
  }
});
