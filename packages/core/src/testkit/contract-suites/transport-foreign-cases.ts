import assert from 'node:assert/strict';
import { PerkeyError } from '../../base/errors.ts';
import type { ForeignCall, ServiceDescription } from '../../contract/transport.ts';
import type { SuiteCases } from './suite.ts';
import { needed } from './suite.ts';
import type { TransportWorld } from './transport-world.ts';

function serviceOf(nodeId: string): ServiceDescription {
  return { nodeId, version: '1.0.0', types: [{ type: 'counter', methods: ['get', 'increment'] }] };
}

const toCounter = { type: 'counter', method: 'increment', key: 'a' };

export const transportForeignCases: SuiteCases<TransportWorld> = {
  async 'foreign calls: a node is given the whole call, and its answer comes back as JSON'(world) {
    const callJson = needed(world.subject.callJson?.bind(world.subject), 'callJson');
    const node = await world.node();
    const calls: ForeignCall[] = [];
    await node.link.serveForeignCalls(serviceOf('n1'), (call) => {
      calls.push(call);
      return Promise.resolve({ value: 7, nested: [null, 'ä'] });
    });
    const key = 'any key: ä * > . \u2028';
    const answer = await callJson({ ...toCounter, key, input: { amount: 5 }, timeoutMs: 4_000, idempotencyKey: 'once' });
    assert.deepEqual(answer, { value: 7, nested: [null, 'ä'] });
    assert.equal(calls.length, 1);
    const { type, method, input, timeoutMs, idempotencyKey } = calls[0] ?? assert.fail();
    assert.deepEqual([type, method, calls[0]?.key, input], ['counter', 'increment', key, { amount: 5 }]);
    assert.deepEqual([timeoutMs, idempotencyKey], [4_000, 'once']);
  },

  async 'foreign calls: a rejection is answered with its code'(world) {
    const callJson = needed(world.subject.callJson?.bind(world.subject), 'callJson');
    const node = await world.node();
    const full = new PerkeyError('mailbox.full', 'the mailbox is full');
    await node.link.serveForeignCalls(serviceOf('n1'), () => Promise.reject(full));
    await assert.rejects(callJson(toCounter), { code: 'mailbox.full' });
  },

  async 'foreign calls: each is taken by one node'(world) {
    const callJson = needed(world.subject.callJson?.bind(world.subject), 'callJson');
    const takers: string[] = [];
    for (const nodeId of ['n1', 'n2', 'n3']) {
      const node = await world.node(nodeId);
      await node.link.serveForeignCalls(serviceOf(nodeId), (call) => Promise.resolve(takers.push(`${nodeId} ${call.key}`)));
    }
    await Promise.all(Array.from({ length: 30 }, (_, i) => callJson({ ...toCounter, key: String(i) })));
    const keys = takers.map((taker) => Number(taker.split(' ')[1])).sort((a, b) => a - b);
    assert.deepEqual(
      keys,
      Array.from({ length: 30 }, (_, i) => i),
    );
  },

  async 'foreign calls: what no node offers is refused, and the offer ends with its link'(world) {
    const callJson = needed(world.subject.callJson?.bind(world.subject), 'callJson');
    const node = await world.node();
    await assert.rejects(callJson(toCounter));
    await node.link.serveForeignCalls(serviceOf('n1'), () => Promise.resolve('an answer'));
    assert.equal(await callJson(toCounter), 'an answer');
    await assert.rejects(callJson({ ...toCounter, type: 'unheard_of' }));
    node.link.reset();
    await node.states.count(2);
    assert.equal(await callJson(toCounter), 'an answer');
    await node.link.close();
    await assert.rejects(callJson(toCounter));
  },
};
