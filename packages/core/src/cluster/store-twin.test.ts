import { expect, test } from 'vitest';
import { VirtualClock } from '../testkit/virtual-clock.ts';
import { Members } from './members.ts';
import type { MemberState } from './records.ts';
import { aloneWithStore } from './store-twin.ts';

class World {
  readonly clock = new VirtualClock();
  readonly members = new Members(this.clock, () => {});
  outcome = 'waiting';
  #revision = 0;

  member(nodeId: string, store: string | undefined, state: MemberState = 'active'): void {
    const record = { nodeId, incarnation: `1-${nodeId}`, n: 1, inbox: 'i', weight: 1, types: {}, state, protocol: 1, store };
    this.#revision += 1;
    this.members.onRecord({ key: `member.${nodeId}`, value: JSON.stringify(record), revision: this.#revision });
  }

  async begin(nodeId = 'a', wanted: () => boolean = () => true): Promise<void> {
    const { members, clock } = this;
    aloneWithStore({ members, clock, self: { nodeId, incarnation: `1-${nodeId}` }, storeId: 's', patienceMs: 1_000 }, wanted).then(
      () => (this.outcome = 'alone'),
      (error: { code: string; message: string }) => (this.outcome = `${error.code}: ${error.message}`),
    );
    await this.clock.advance(0);
  }
}

test('a node is alone with its store where the others have stores of their own, or none', async () => {
  const world = new World();
  world.member('a', 's', 'joining');
  world.member('b', 't');
  world.member('c', undefined);
  world.member('d', 's', 'gone');
  world.members.onSynced();
  await world.begin();
  expect(world.outcome).toBe('alone');
});

test('nothing is decided before the members are known', async () => {
  const world = new World();
  await world.begin();
  await world.clock.advance(5_000);
  expect(world.outcome).toBe('waiting');
  world.member('b', 's');
  world.members.onSynced();
  await world.clock.advance(100);
  expect(world.outcome).toContain('store.mismatch');
});

test('one that has died is waited for, until its lease has run out and it is gone', async () => {
  const world = new World();
  world.member('b', 's');
  world.members.onSynced();
  await world.begin();
  await world.clock.advance(900);
  expect(world.outcome).toBe('waiting');
  world.member('b', 's', 'gone');
  await world.clock.advance(50);
  expect(world.outcome).toBe('alone');
});

test('of two nodes with one store, however they start, none goes on beside the other', async () => {
  const world = new World();
  world.member('b', 's', 'joining');
  world.member('a', 's', 'joining');
  world.members.onSynced();
  await world.begin('a');
  await world.clock.advance(1_100);
  expect(world.outcome).toMatch(/^store\.mismatch: the store s of this node is also that of node "b"/);
});

test('whoever gives up waits no longer', async () => {
  const world = new World();
  world.member('b', 's');
  world.members.onSynced();
  let wanted = true;
  await world.begin('a', () => wanted);
  wanted = false;
  await world.clock.advance(50);
  expect(world.outcome).toBe('alone');
});
