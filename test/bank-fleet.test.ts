import { EventStore, noMetrics, silentLogger, type StoredEvent, systemClock, systemRandom } from '@perkey/core';
import { sqlite } from '@perkey/sqlite';
import { copyFile } from 'node:fs/promises';
import { Bank, type Gateway } from './support/bank.ts';
import type { DemoProcess } from './support/demo-process.ts';
import { describe, expect, test } from 'vitest';

const ids = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `acc-${index}`);

/** Answered, in whatever way, so that the outcome is known: what may have been executed is sent again with its key. */
async function surely(gateways: readonly Gateway[], call: (gateway: Gateway) => ReturnType<Gateway['call']>, first: number) {
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const answer = await call(gateways[(first + attempt) % gateways.length]!);
    if (answer.status < 500) return answer;
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
  throw new Error('a command was not answered');
}

interface Command {
  readonly id: string;
  readonly what: 'deposit' | 'withdraw';
  readonly cents: number;
  readonly key: string;
}

/** 1,000 commands in an order that is the same for every run, and looks random. */
function commandsOf(accounts: readonly string[], count: number): readonly Command[] {
  const commands = Array.from({ length: count }, (_, index): Command => {
    const id = accounts[index % accounts.length]!;
    return { id, what: index % 3 === 0 ? 'withdraw' : 'deposit', cents: 1 + ((index * 37) % 500), key: `command-${index}` };
  });
  let seed = 42;
  const next = (): number => (seed = (seed * 48_271) % 2_147_483_647);
  return commands
    .map((command) => [next(), command] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, command]) => command);
}

const decimal = (cents: number): string => `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;

/** What is stored in the file of a handler that has stopped. */
async function read(bank: Bank, name: string): Promise<{ readonly events: readonly StoredEvent[]; readonly problems: readonly unknown[] }> {
  const around = { clock: systemClock, random: systemRandom, metrics: noMetrics };
  const environment = { ...around, log: silentLogger, cluster: bank.cluster, nodeId: 'reader', shards: 64, connectTimeoutMs: 1_000 };
  const open = await sqlite({ path: bank.dbPath(name) }).open(environment);
  try {
    const store = new EventStore({ ...around, log: open.events, shards: 64 });
    const events: StoredEvent[] = [];
    for await (const batch of store.readAll()) events.push(...batch.events);
    const problems: unknown[] = [];
    for (const key of new Set(events.map((event) => event.key))) problems.push(...(await store.verify({ type: 'account', key })).problems);
    return { events, problems };
  } finally {
    await open.close();
  }
}

describe('two gateways and two handlers', { timeout: 90_000 }, () => {
  test('1,000 commands, every tenth twice, and a handler that is killed in the midst: nothing is lost, nothing is doubled', async () => {
    await using bank = await Bank.start();
    const starting = [bank.gateway(), bank.gateway()];
    const handlers = await Promise.all(['handler-0', 'handler-1'].map((name) => bank.handler(name)));
    const gateways = await Promise.all(starting);
    await bank.shared(handlers);
    const accounts = ids(100);
    await Promise.all(accounts.map((id, index) => surely(gateways, (gateway) => gateway.open(id, '1000.00', `open-${id}`), index)));

    const commands = commandsOf(accounts, 1_000);
    const balances = new Map(accounts.map((id) => [id, 100_000]));
    const failures: unknown[] = [];
    let answered = 0;
    let restarted: Promise<DemoProcess> | undefined;
    const work = async (from: number, step: number): Promise<void> => {
      for (let at = from; at < commands.length; at += step) {
        const { id, what, cents, key } = commands[at]!;
        const send = (first: number) =>
          surely(gateways, (gateway) => gateway.call(`/accounts/${id}/${what}`, { body: { amount: decimal(cents) }, key }), first);
        const answer = await send(at);
        const repeat = at % 10 === 0 ? await send(at + 1) : answer;
        if (answer.status !== 200 || JSON.stringify(repeat.body) !== JSON.stringify(answer.body))
          failures.push([commands[at], answer, repeat]);
        balances.set(id, balances.get(id)! + (what === 'deposit' ? cents : -cents));
        answered += 1;
        if (answered === 400) {
          handlers[0]!.signal('SIGKILL');
          restarted = handlers[0]!.exited.then(() => bank.handler('handler-0'));
        }
      }
    };
    await Promise.all(Array.from({ length: 32 }, (_, lane) => work(lane, 32)));
    expect(failures).toEqual([]);
    const again = await restarted!;

    const found = await Promise.all(
      accounts.map(
        async (id, index) => [id, (await surely(gateways, (gateway) => gateway.call(`/accounts/${id}`), index)).body['balance']] as const,
      ),
    );
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries([...balances].map(([id, cents]) => [id, decimal(cents)])));

    expect((await Promise.all([again, handlers[1]!].map((handler) => handler.stop()))).map(({ code }) => code)).toEqual([0, 0]);
    const stores = await Promise.all(['handler-0', 'handler-1'].map((name) => read(bank, name)));
    expect(stores.map(({ problems }) => problems)).toEqual([[], []]);
    const [ofFirst, ofSecond] = stores.map(({ events }) => new Set(events.map(({ key }) => key)));
    expect([ofFirst!.size > 20, ofSecond!.size > 20]).toEqual([true, true]);
    expect(ofFirst!.intersection(ofSecond!).size).toBe(0);
    expect(ofFirst!.union(ofSecond!).size).toBe(100);
    const all = stores.flatMap(({ events }) => events);
    expect(all).toHaveLength(1_100);
    for (const id of accounts) {
      const versions = all.filter(({ key }) => key === id).map(({ version }) => version);
      expect(versions).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
    }
  });
});

describe('private stores', { timeout: 90_000 }, () => {
  test('accounts of a handler that is down answer 503 until it is back; one that joins takes none of them; a second history is refused', async () => {
    await using bank = await Bank.start();
    const first = await bank.handler('handler-0');
    const gateway = await bank.gateway();
    const accounts = ids(12);
    for (const id of accounts) expect((await gateway.open(id)).status).toBe(201);

    const second = await bank.handler('handler-1');
    const existing = await Promise.all(accounts.map((id) => gateway.call(`/accounts/${id}/deposit`, { body: { amount: '1.00' } })));
    expect(existing.map(({ status }) => status)).toEqual(accounts.map(() => 200));

    expect((await first.stop()).code).toBe(0);
    const away = await Promise.all(accounts.map((id) => gateway.call(`/accounts/${id}`, { timeoutMs: 700 })));
    expect(away.map(({ status }) => status)).toEqual(accounts.map(() => 503));
    expect(away[0]!.body).toMatchObject({ executed: 'no' });
    expect(away[0]!.headers['retry-after']).toBeDefined();
    expect((await gateway.call('/health')).body).toMatchObject({ status: 'degraded' });
    // Those that are new find a place meanwhile.
    const news = await Promise.all(ids(40).map((id) => gateway.open(`new-${id}`)));
    expect(news.filter(({ status }) => status === 201).length).toBeGreaterThan(0);

    const back = await bank.handler('handler-0');
    const found = await Promise.all(accounts.map((id) => surely([gateway], (one) => one.call(`/accounts/${id}`), 0)));
    expect(found.map(({ body }) => body['balance'])).toEqual(accounts.map(() => '101.00'));

    const shared = bank.handlerProcess('handler-2', { STORE: 'jetstream' });
    expect((await shared.exited).code).toBe(1);
    expect(shared.stderr).toMatch(/keeps its durable actors in private stores.*histories of one actor would be split/);
    const taken = bank.handlerProcess('handler-3', { DB_PATH: bank.dbPath('handler-0') });
    expect((await taken.exited).code).toBe(1);
    expect(taken.stderr).toMatch(/handler-0\.db/);

    await Promise.all([back.stop(), second.stop()]);
    const kept = await Promise.all(['handler-0', 'handler-1'].map((name) => read(bank, name)));
    const [ofFirst, ofSecond] = kept.map(({ events }) => new Set(events.map(({ key }) => key)));
    expect(accounts.filter((id) => ofFirst!.has(id))).toEqual(accounts);
    expect(ofFirst!.intersection(ofSecond!).size).toBe(0);
  });

  test('the copy of a file beside the file itself is refused', async () => {
    await using bank = await Bank.start();
    const first = await bank.handler('handler-0');
    const gateway = await bank.gateway();
    await gateway.open('acc-1');
    await first.stop();
    await copyFile(bank.dbPath('handler-0'), bank.dbPath('copy'));
    const again = await bank.handler('handler-0');
    const copy = bank.handlerProcess('copy');
    expect((await copy.exited).code).toBe(1);
    expect(copy.stderr).toMatch(/the store \w+ of this node is also that of node "handler-0", which runs/);
    // The file itself under another name is none: whoever had it is dead.
    again.signal('SIGKILL');
    await bank.handler('other-name', { DB_PATH: bank.dbPath('handler-0') });
    const found = await surely([gateway], (one) => one.call('/accounts/acc-1', { timeoutMs: 1_000 }), 0);
    expect(found.body['balance']).toBe('100.00');
  });
});

describe('a shared store', { timeout: 90_000 }, () => {
  test('both roles drain on SIGTERM: what was asked for is answered, and nothing fails', async () => {
    await using bank = await Bank.start();
    const env = { STORE: 'jetstream' };
    const [leaving, staying] = await Promise.all([bank.handler('handler-0', env), bank.handler('handler-1', env)]);
    const gateway = await bank.gateway();
    await bank.shared([leaving, staying]);
    const accounts = ids(16);
    for (const id of accounts) expect((await gateway.open(id)).status).toBe(201);
    const statuses: number[] = [];
    let isGone = false;
    const ended = accounts.map(async (id) => {
      for (let after = 0; after < 5; after += isGone ? 1 : 0) {
        statuses.push((await gateway.call(`/accounts/${id}/deposit`, { body: { amount: '1.00' } })).status);
      }
    });
    while (statuses.length < 100) await new Promise((resolve) => void setTimeout(resolve, 5));
    expect((await leaving.stop()).code).toBe(0);
    isGone = true;
    await Promise.all(ended);
    expect(new Set(statuses)).toEqual(new Set([200]));

    staying.signal('SIGSTOP');
    const waiting = gateway.call(`/accounts/${accounts[0]}/deposit`, { body: { amount: '1.00' }, timeoutMs: 20_000 });
    await new Promise((resolve) => void setTimeout(resolve, 200));
    const stopped = gateway.process.stop();
    await gateway.process.line('shutting down...');
    staying.signal('SIGCONT');
    expect((await waiting).status).toBe(200);
    expect((await stopped).code).toBe(0);
    expect((await staying.stop()).code).toBe(0);
  });

  test('with STORE=jetstream another handler takes over, with every account as it was', async () => {
    await using bank = await Bank.start();
    const env = { STORE: 'jetstream' };
    const [first] = await Promise.all([bank.handler('handler-0', env), bank.handler('handler-1', env)]);
    const gateway = await bank.gateway();
    const accounts = ids(20);
    for (const id of accounts) expect((await gateway.open(id)).status).toBe(201);
    first.signal('SIGKILL');
    const found = await Promise.all(accounts.map((id) => gateway.call(`/accounts/${id}`)));
    expect(found.map(({ status, body }) => [status, body['balance']])).toEqual(accounts.map(() => [200, '100.00']));
  });
});
