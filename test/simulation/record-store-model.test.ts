import {
  memory,
  PerkeyError,
  type Random,
  type RecordStore,
  seededRandom,
  type StoredRecord,
  systemClock,
  type Transport,
} from '@perkey/core';
import { FaultyTransport, type WriteFault } from '@perkey/core/testing';
import { nats } from '@perkey/nats';
import { startNatsServer, type NatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { environmentOf } from '../nats-fixture.ts';
import { testServers } from '../support/newest-server.ts';

const steps = 250;
const keys = ['shard.0', 'shard.1', 'member.a', 'member.b'];
const writeFaults: readonly WriteFault[] = ['refused', 'unavailable', 'applied-refused', 'applied-unavailable'];

/** Two members at one store with the same faults: whatever the model says of it, a real server has to say too. */
class Subject {
  readonly #faulty: FaultyTransport;
  readonly #cluster: string;
  readonly stores: RecordStore[] = [];
  readonly #close: (() => Promise<void>)[] = [];
  readonly #latest = new Map<string, number>();
  readonly #watched = new Map<string, StoredRecord>();
  #lastSeen = 0;
  #synced = 0;
  fell = 0;

  constructor(transport: Transport, cluster: string) {
    this.#faulty = new FaultyTransport(transport, { clock: systemClock });
    this.#cluster = cluster;
  }

  async open(): Promise<this> {
    for (const name of ['a', 'b']) {
      const link = await this.#faulty.openControl(name, { onState: () => {} }, environmentOf({ cluster: this.#cluster }));
      this.stores.push(link.shards);
      this.#close.push(() => link.close());
    }
    await this.stores[1]!.watch({
      onRecord: (record) => {
        if (record.revision <= this.#lastSeen) this.fell += 1;
        this.#lastSeen = record.revision;
        this.#watched.set(record.key, record);
      },
      onSynced: () => {
        this.#synced += 1;
      },
    });
    return this;
  }

  async close(): Promise<void> {
    for (const close of this.#close) await close();
  }

  /** One step of a trace, by chance that both subjects draw alike; what came of it, as text. */
  async step(random: Random): Promise<string> {
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random.next() * of.length)] as T;
    const by = Math.floor(random.next() * 2);
    const store = this.stores[by]!;
    const faults = this.#faulty.of(by === 0 ? 'a' : 'b').shards;
    const key = pick(keys);
    const dice = random.next();
    const value = `v${Math.floor(random.next() * 1_000_000)}`;
    if (dice < 0.06) {
      const fault = pick(writeFaults);
      faults.nextWrites(fault);
      return `the next write of ${by} ends ${fault}`;
    }
    if (dice < 0.1) {
      if (random.next() < 0.5) faults.staleReads();
      else faults.freshReads();
      return `reads of ${by} change`;
    }
    if (dice < 0.12) {
      if (random.next() < 0.5) faults.unavailable();
      else faults.available();
      return `${by} changes`;
    }
    return `${by} ${key} ${await this.#ask(store, key, value, dice, random)}`;
  }

  async #ask(store: RecordStore, key: string, value: string, dice: number, random: Random): Promise<string> {
    const known = this.#latest.get(key) ?? 0;
    try {
      if (dice < 0.4) {
        const found = await store.read(key);
        if (found) this.#latest.set(key, found.revision);
        return `read ${found?.value} at ${found?.revision}`;
      }
      if (dice < 0.45) {
        await store.forget(key, known);
        return `forget up to ${known}`;
      }
      const expected = random.next() < 0.7 ? known : random.next() < 0.5 ? 0 : Math.max(0, known + Math.floor(random.next() * 5) - 2);
      const outcome = await store.write(key, value, expected);
      if (outcome.applied) this.#latest.set(key, outcome.revision);
      return `write at ${expected}: ${JSON.stringify(outcome)}`;
    } catch (error) {
      return error instanceof PerkeyError ? error.code : String(error);
    }
  }

  /** What is stored, and what the watch has come to. */
  async picture(): Promise<{ stored: unknown; watched: unknown; synced: number; fell: number }> {
    this.#faulty.healAll();
    const stored: (StoredRecord | undefined)[] = [];
    for (const key of keys) stored.push(await this.stores[0]!.read(key));
    const last = Math.max(0, ...stored.map((record) => record?.revision ?? 0));
    for (let waited = 0; this.#lastSeen < last && waited < 200; waited += 1) await new Promise((resolve) => setTimeout(resolve, 10));
    const watched = keys.map((key) => this.#watched.get(key)).filter((record) => stored.some((one) => one?.revision === record?.revision));
    return { stored, watched, synced: this.#synced, fell: this.fell };
  }
}

describe.each(await testServers())('the records that the simulator rests on do as those of $name', ({ binary }) => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNatsServer({ binary });
  });
  afterAll(() => server.stop());

  test.each([1, 2, 3, 4])('on random traces, with faults: seed %i', async (seed) => {
    const model = await new Subject(memory(), `model${seed}`).open();
    const real = await new Subject(nats({ servers: server.url }), `model${seed}`).open();
    try {
      const [ofModel, ofReal] = [seededRandom(seed), seededRandom(seed)];
      let applied = 0;
      let refused = 0;
      for (let step = 0; step < steps; step += 1) {
        const said = await model.step(ofModel);
        expect(`${step}: ${await real.step(ofReal)}`).toBe(`${step}: ${said}`);
        if (said.includes('"applied":true')) applied += 1;
        if (said.includes('"applied":false')) refused += 1;
      }
      expect(applied).toBeGreaterThan(20);
      expect(refused).toBeGreaterThan(10);
      expect(await real.picture()).toEqual(await model.picture());
    } finally {
      await model.close();
      await real.close();
    }
  });
});
