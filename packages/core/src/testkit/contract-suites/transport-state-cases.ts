import assert from 'node:assert/strict';
import { Arrivals } from './arrivals.ts';
import type { SuiteCases } from './suite.ts';
import { needed } from './suite.ts';
import type { TransportWorld } from './transport-world.ts';

export const transportStateCases: SuiteCases<TransportWorld> = {
  async 'an open link is up and said so once'(world) {
    const probes = [await world.node(), await world.client()];
    const control = await world.control();
    for (const { link, statesAtOpen, states } of [...probes, control]) {
      assert.equal(link.up, true);
      assert.deepEqual([statesAtOpen, states.items], [[true], []]);
    }
  },

  async 'a reset link is down at once, then up again at the same addresses'(world) {
    const node = await world.node('n1', 'i1');
    const client = await world.client();
    const sender = await world.client();
    for (const probe of [node, client]) {
      const { link } = probe;
      link.reset();
      assert.equal(link.up, false);
      assert.equal(probe.send(sender.link.address, 'while down', 1), false);
      await probe.states.count(2);
      assert.deepEqual(probe.states.items, [false, true]);
      assert.equal(link.up, true);
      sender.send(link.address, 'after it', 2);
      await probe.frames.count(1);
      probe.send(probe.frames.items[0]?.from ?? '', 'an answer');
    }
    sender.send(sender.link.nodeAddress('n1', 'i1'), 'to the node', 3);
    await node.frames.count(2);
    sender.send(sender.link.anyNode, 'to any node', 4);
    await node.frames.count(3);
    node.send(node.link.everyClient, 'to every client');
    await Promise.all([client.frames.count(2), sender.frames.count(3)]);
    assert.deepEqual(sender.texts, ['an answer', 'an answer', 'to every client']);
    assert.deepEqual(sender.undeliverable.items, []);
  },

  async 'a link may be reset again and again, also while it is down'(world) {
    const node = await world.node();
    const client = await world.client();
    for (let round = 1; round <= 5; round += 1) {
      node.link.reset();
      node.link.reset();
      await node.states.until((states) => states.length >= round * 2, 'up again');
      client.send(node.link.address, `round ${round}`, round);
      await node.frames.count(round);
    }
    assert.deepEqual(node.states.items, [false, true, false, true, false, true, false, true, false, true]);
  },

  async 'a link closed while it is down stays closed'(world) {
    const node = await world.node();
    const client = await world.client();
    node.link.reset();
    await node.link.close();
    client.send(node.link.address, 'to nobody', 3);
    await client.undeliverable.count(1);
    assert.equal(node.link.up, false);
    assert.deepEqual(
      node.states.items.filter((up) => up),
      [],
    );
  },

  async 'while the broker is away links are down and send gives false; they come back by themselves'(world) {
    const outage = needed(world.subject.outage, 'outage');
    const node = await world.node();
    const client = await world.client();
    const control = await world.control();
    await outage.begin();
    await Promise.all([node, client, control].map(({ states }) => states.count(1)));
    for (const { link } of [node, client, control]) assert.equal(link.up, false);
    for (const probe of [node, client]) assert.equal(probe.send(node.link.address, 'while away', 1), false);
    await assert.rejects(control.link.shards.write('a', 'one', 0), { code: 'store.unavailable' });
    await outage.end();
    await Promise.all([node, client, control].map(({ states }) => states.count(2)));
    for (const { states } of [node, client, control]) assert.deepEqual(states.items, [false, true]);
    client.send(node.link.address, 'when back', 2);
    await node.frames.count(1);
    assert.deepEqual(node.texts, ['when back']);
  },

  async 'records and watches outlive an outage of the broker'(world) {
    const outage = needed(world.subject.outage, 'outage');
    const { link, states } = await world.control();
    const told = new Arrivals<string>();
    await link.members.watch({ onRecord: (record) => told.push(record.value), onSynced: () => told.push('(synced)') });
    const first = await link.members.write('a', 'one', 0);
    await outage.begin();
    await states.count(1);
    await outage.end();
    await states.count(2);
    const other = await world.control('n2');
    const second = await other.link.members.write('a', 'two', first.applied ? first.revision : -1);
    assert.ok(second.applied);
    await told.until((items) => items.includes('two') && items.filter((item) => item === '(synced)').length >= 2, 'the resync');
  },

  async 'without a broker, opening rejects with transport.connect_timeout'(world) {
    const outage = needed(world.subject.outage, 'outage');
    await outage.begin();
    const hurried = { connectTimeoutMs: 200 };
    const timeout = { code: 'transport.connect_timeout' };
    const openings = [world.client(hurried), world.node('n1', 'i1', hurried), world.control('n1', hurried)];
    await Promise.all(openings.map((opening) => assert.rejects(opening, timeout)));
    await outage.end();
  },

  async 'a link that is being opened waits for the broker'(world) {
    const outage = needed(world.subject.outage, 'outage');
    await outage.begin();
    const opening = Promise.all([world.node('n1', 'i1'), world.client()]);
    await outage.end();
    const [node, client] = await opening;
    client.send(node.link.address, 'hello', 1);
    await node.frames.count(1);
  },

  async 'control links of one cluster share both stores, which are apart'(world) {
    const first = await world.control('n1');
    const second = await world.control('n2');
    const stranger = await world.control('n1', { cluster: `${world.subject.cluster}x` });
    await first.link.members.write('a', 'a member', 0);
    await second.link.shards.write('a', 'a shard', 0);
    assert.equal((await second.link.members.read('a'))?.value, 'a member');
    assert.equal((await first.link.shards.read('a'))?.value, 'a shard');
    assert.equal(await stranger.link.members.read('a'), undefined);
    assert.equal(await stranger.link.shards.read('a'), undefined);
  },

  async 'a reset control link rejects what it did not hear of, then works again'(world) {
    const { link, states } = await world.control();
    const before = await link.shards.write('a', 'one', 0);
    assert.ok(before.applied);
    const pending = link.shards.write('a', 'two', before.revision);
    const settled = assert.rejects(pending, { code: 'store.unavailable' });
    link.reset();
    assert.equal(link.up, false);
    await settled;
    await states.count(2);
    assert.deepEqual(states.items, [false, true]);
    const record = await link.shards.read('a');
    // Whether the write without an answer was applied is not known; the record is one of the two.
    assert.ok(record !== undefined && ['one', 'two'].includes(record.value));
    assert.equal((await link.shards.write('a', 'three', record.revision)).applied, true);
  },

  async 'a closed control link rejects everything'(world) {
    const { link } = await world.control();
    await link.close();
    await link.close();
    assert.equal(link.up, false);
    await assert.rejects(link.members.read('a'), { code: 'store.unavailable' });
    await assert.rejects(link.shards.write('a', 'one', 0), { code: 'store.unavailable' });
  },
};
