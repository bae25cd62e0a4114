import assert from 'node:assert/strict';
import { Arrivals } from './arrivals.ts';
import type { SuiteCases } from './suite.ts';
import type { ArrivedFrame, TransportWorld } from './transport-world.ts';

const numbered = (count: number, prefix: string = ''): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

export const transportDataCases: SuiteCases<TransportWorld> = {
  async 'frames of one link to one address arrive whole and in the order sent'(world) {
    const node = await world.node();
    const client = await world.client();
    const texts = numbered(2_000).map((text, i) => text.padEnd(i % 1_500, '.'));
    for (const text of texts) assert.equal(client.send(node.link.address, text), true);
    await node.frames.count(texts.length);
    assert.deepEqual(node.texts, texts);
  },

  async 'frames to several addresses keep their order at each'(world) {
    const nodes = await Promise.all(['n1', 'n2', 'n3'].map((nodeId) => world.node(nodeId, 'i1')));
    const client = await world.client();
    for (const text of numbered(300)) {
      for (const node of nodes) client.send(node.link.address, text);
    }
    for (const node of nodes) {
      await node.frames.count(300);
      assert.deepEqual(node.texts, numbered(300));
    }
  },

  async 'a node takes frames at the address made of its id and incarnation, its successor does not'(world) {
    const before = await world.node('n1', 'i1');
    const client = await world.client();
    const address = client.link.nodeAddress('n1', 'i1');
    client.send(address, 'to the first', 1);
    await before.frames.count(1);
    await before.link.close();
    const after = await world.node('n1', 'i2');
    client.send(address, 'to the first again', 2);
    await client.undeliverable.count(1);
    client.send(client.link.nodeAddress('n1', 'i2'), 'to the second', 3);
    await after.frames.count(1);
    assert.deepEqual(client.undeliverable.items, [2]);
    assert.deepEqual(after.texts, ['to the second']);
  },

  async 'a reply to the return address reaches the sender'(world) {
    const node = await world.node();
    const [client, other] = await Promise.all([world.client(), world.client()]);
    client.send(node.link.address, 'request', 5);
    await node.frames.count(1);
    assert.notEqual(node.frames.items[0]?.from, '');
    for (const text of ['first reply', 'second reply']) node.send(node.frames.items[0]?.from ?? '', text);
    await client.frames.count(2);
    assert.deepEqual(client.texts, ['first reply', 'second reply']);
    assert.deepEqual(other.texts, []);
  },

  async 'a frame without a token has no return address'(world) {
    const node = await world.node();
    const client = await world.client();
    client.send(node.link.address, 'one way', -1);
    await node.frames.count(1);
    assert.equal(node.frames.items[0]?.from, '');
  },

  async 'the address of a link can be stored and given to others'(world) {
    const [client, other] = await Promise.all([world.client(), world.client()]);
    const node = await world.node();
    for (const probe of [client, node]) {
      other.send(probe.link.address, 'hello', 1);
      await probe.frames.count(1);
      probe.send(probe.frames.items[0]?.from ?? '', 'hello back');
    }
    await other.frames.count(2);
    assert.deepEqual(other.texts, ['hello back', 'hello back']);
  },

  async 'frames that reach nobody are reported by token, no others'(world) {
    const node = await world.node();
    const client = await world.client();
    const nowhere = client.link.nodeAddress('n9', 'gone');
    const tokens = [0, 1, 4_294_967_296, Number.MAX_SAFE_INTEGER];
    for (const [i, token] of tokens.entries()) {
      client.send(node.link.address, 'to somebody', 2_000 + i);
      assert.equal(client.send(nowhere, 'to nobody', token), true);
    }
    await node.frames.count(tokens.length);
    client.send(nowhere, 'to nobody, last', 77);
    await client.undeliverable.count(tokens.length + 1);
    assert.deepEqual(client.undeliverable.items, [...tokens, 77]);
  },

  async 'a frame with token -1 that reaches nobody is not reported'(world) {
    const client = await world.client();
    const nowhere = client.link.nodeAddress('n9', 'gone');
    client.send(nowhere, 'no report', -1);
    client.send(nowhere, 'a report', 7);
    await client.undeliverable.count(1);
    assert.deepEqual(client.undeliverable.items, [7]);
  },

  async 'a node too learns that its frame reached nobody'(world) {
    const node = await world.node();
    node.send(node.link.nodeAddress('n9', 'gone'), 'to nobody', 12);
    await node.undeliverable.count(1);
    assert.deepEqual(node.undeliverable.items, [12]);
  },

  async 'a frame of frameBytesMax arrives, a larger one throws payload.too_large and the link lives'(world) {
    const node = await world.node();
    const client = await world.client();
    const bytesMax = client.link.frameBytesMax;
    client.link.send(node.link.address, new Uint8Array(bytesMax).fill(97), 1);
    await node.frames.count(1);
    assert.equal(node.frames.items[0]?.bytes, bytesMax);
    assert.throws(() => client.link.send(node.link.address, new Uint8Array(bytesMax + 1), 2), { code: 'payload.too_large' });
    client.send(node.link.address, 'after it', 3);
    await node.frames.count(2);
    assert.equal(node.texts[1], 'after it');
    assert.deepEqual([...client.states.items, ...client.undeliverable.items], []);
  },

  async 'a frame of any bytes arrives unchanged, and sending does not change it'(world) {
    const bytes = Uint8Array.from({ length: 1_024 }, (_, i) => (i * 7) % 256);
    const seen: Uint8Array[] = [];
    const node = await world.node();
    const client = await world.client();
    const readThere = node.onFrame.bind(node);
    node.onFrame = (frame, from, via) => {
      seen.push(Uint8Array.from(frame));
      readThere(frame, from, via);
    };
    const sent = Uint8Array.from(bytes);
    client.link.send(node.link.address, sent, 1);
    await node.frames.count(1);
    assert.deepEqual(seen[0], bytes);
    assert.deepEqual(sent, bytes);
  },

  async 'each frame is marked with the address by which it came, and no sender is proven by its word'(world) {
    const [node, other] = await Promise.all([world.node('n1', 'i1'), world.node('n2', 'i2')]);
    const client = await world.client();
    const peer = other.link.peerAddress('n1', 'i1');
    assert.notEqual(peer, other.link.nodeAddress('n1', 'i1'));
    other.send(peer, 'peer', 1);
    other.send(node.link.address, 'reply', 2);
    other.send(other.link.nodeAddress('n1', 'i1'), 'node', 2);
    await node.frames.count(3);
    client.send(client.link.anyNode, 'shared', 3);
    client.send(client.link.anyNode, 'shared', 4);
    client.send(client.link.nodeAddress('n1', 'i1'), 'node', 5);
    node.send(client.link.address, 'reply', 6);
    node.send(node.link.everyClient, 'shared', 7);
    await client.frames.count(2);
    await node.frames.until(
      (frames) => frames.some((frame) => frame.from !== other.link.address && frame.from !== ''),
      'a frame of the client',
    );
    const arrived = [node, other, client].flatMap(({ frames }) => frames.items);
    for (const { text, via } of arrived) assert.deepEqual(via, { at: text, principal: '' });
    assert.deepEqual(new Set(arrived.map(({ text }) => text)), new Set(['peer', 'reply', 'node', 'shared']));
    other.send(other.link.peerAddress('n1', 'i0'), 'to one who is gone', 6);
    await other.undeliverable.count(1);
    assert.deepEqual(other.undeliverable.items, [6]);
  },

  async 'a client cannot send to the peer address of a node'(world) {
    const node = await world.node('n1', 'i1');
    const client = await world.client();
    client.send(client.link.peerAddress('n1', 'i1'), 'forged', 1);
    client.send(node.link.address, 'end', 2);
    await node.frames.count(1);
    assert.deepEqual(node.texts, ['end']);
  },

  async 'any node: each frame reaches exactly one node'(world) {
    const taken = new Arrivals<string>();
    const onFrame = (frame: ArrivedFrame): void => taken.push(frame.text);
    const nodes = await Promise.all(['n1', 'n2', 'n3'].map((nodeId) => world.node(nodeId, 'i1', { onFrame })));
    const client = await world.client();
    const texts = numbered(90);
    texts.forEach((text, i) => client.send(client.link.anyNode, text, i));
    await taken.count(texts.length);
    // Once each node got something sent later, a second copy would have come too.
    for (const node of nodes) client.send(node.link.address, 'end', 1_000);
    await taken.count(texts.length + nodes.length);
    assert.deepEqual(taken.items.toSorted(), [...texts, 'end', 'end', 'end'].toSorted());
    assert.deepEqual(client.undeliverable.items, []);
  },

  async 'any node: a node answers, and without nodes the frame is undeliverable'(world) {
    const client = await world.client();
    client.send(client.link.anyNode, 'is anybody there', 4);
    await client.undeliverable.count(1);
    const node = await world.node('n1', 'i1', { onFrame: (frame) => node.send(frame.from, 'I am') });
    client.send(client.link.anyNode, 'is anybody there', 5);
    await client.frames.count(1);
    assert.deepEqual(client.texts, ['I am']);
    assert.deepEqual(client.undeliverable.items, [4]);
  },

  async 'every client: a frame reaches all clients and no node'(world) {
    const clients = await Promise.all(Array.from({ length: 5 }, () => world.client()));
    const [node, other] = await Promise.all([world.node('n1'), world.node('n2')]);
    for (const text of numbered(20)) node.send(node.link.everyClient, text);
    node.send(other.link.address, 'end');
    for (const client of clients) {
      await client.frames.count(20);
      assert.deepEqual(client.texts, numbered(20));
    }
    await other.frames.count(1);
    assert.deepEqual([node.texts, other.texts], [[], ['end']]);
  },

  async 'clusters are apart, even with the same names in them'(world) {
    const elsewhere = { cluster: `${world.subject.cluster}x` };
    const here = await world.node('n1', 'i1');
    const there = await world.node('n1', 'i1', elsewhere);
    const client = await world.client();
    const stranger = await world.client(elsewhere);
    client.send(client.link.nodeAddress('n1', 'i1'), 'of here');
    client.send(client.link.anyNode, 'of here');
    here.send(here.link.everyClient, 'of here');
    stranger.send(stranger.link.nodeAddress('n1', 'i1'), 'of there');
    stranger.send(stranger.link.anyNode, 'of there');
    there.send(there.link.everyClient, 'of there');
    await Promise.all([here.frames.count(2), there.frames.count(2), client.frames.count(1), stranger.frames.count(1)]);
    assert.deepEqual([here.texts, client.texts], [['of here', 'of here'], ['of here']]);
    assert.deepEqual([there.texts, stranger.texts], [['of there', 'of there'], ['of there']]);
  },

  async 'an onFrame that throws does not deafen the link; the throw is logged and counted'(world) {
    const node = await world.node('n1', 'i1', {
      onFrame: (frame) => {
        if (frame.text === 'bad') throw new Error('thrown by onFrame on purpose');
      },
    });
    const client = await world.client();
    for (const text of ['good', 'bad', 'good', 'bad', 'good']) client.send(node.link.address, text, 1);
    await node.frames.count(5);
    client.send(node.link.address, 'later', 2);
    await node.frames.count(6);
    assert.deepEqual(node.states.items, []);
    assert.ok(world.errorsLogged.length > 0, 'no error was logged');
    const counts = world.metrics.snapshot().flatMap((family) => family.series.map((series) => ('value' in series ? series.value : 0)));
    assert.ok(counts.includes(2), 'nothing was counted twice');
  },

  async 'after close nothing is delivered, nothing is sent, and senders learn it'(world) {
    const node = await world.node('n1', 'i1');
    const [client, other] = await Promise.all([world.client(), world.client()]);
    const address = client.link.address;
    await client.link.close();
    await client.link.close();
    assert.equal(client.link.up, false);
    assert.equal(client.send(node.link.address, 'from a closed link', 1), false);
    other.send(address, 'to a closed link', 9);
    await other.undeliverable.count(1);
    node.send(node.link.everyClient, 'to those who are left');
    await other.frames.count(1);
    assert.deepEqual([client.texts, node.texts], [[], []]);
    assert.deepEqual(other.undeliverable.items, [9]);
  },

  async 'close waits until what was sent is with the broker'(world) {
    const node = await world.node();
    const client = await world.client();
    const texts = numbered(500).map((text) => text.padEnd(2_000, '.'));
    for (const text of texts) client.send(node.link.address, text);
    await client.link.close();
    await node.frames.count(texts.length);
    assert.deepEqual(node.texts, texts);
  },
};
