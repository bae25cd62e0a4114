import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bank, Gateway } from './support/bank.ts';
import type { DemoProcess } from './support/demo-process.ts';

let bank: Bank;
let gateway: Gateway;
let handler: DemoProcess;
beforeAll(async () => {
  bank = await Bank.start();
  [handler, gateway] = await Promise.all([bank.handler('handler-0'), bank.gateway()]);
});
afterAll(() => bank[Symbol.asyncDispose]());

describe('the start', () => {
  const starts = (process: DemoProcess, lines: readonly (string | RegExp)[]): void => {
    const messages = process.lines.map(({ msg }) => msg);
    const found = lines.map((line) => messages.findIndex((msg) => (typeof line === 'string' ? msg === line : line.test(msg))));
    expect(found.every((at) => at >= 0)).toBe(true);
    expect(found).toEqual(found.toSorted((a, b) => a - b));
  };

  test('of a handler and of a gateway is told in these lines', () => {
    starts(handler, [
      'Command Handler Service Starting...',
      'Connected to NATS',
      'Event store initialized',
      'Registered command handlers',
      'Listening for commands...',
    ]);
    starts(gateway.process, [
      'API Gateway Starting...',
      'Connected to NATS',
      'Thin client (no database) - Role: CommandSender',
      /^HTTP Server listening on :\d+$/,
    ]);
  });
});

describe('accounts', () => {
  test('are opened, moved and closed, as the API says', async () => {
    const opening = { account_id: 'acc-001', owner_name: 'Alice', initial_balance: '1000.00' };
    expect(await gateway.call('/accounts', { body: opening })).toMatchObject({
      status: 201,
      body: { account_id: 'acc-001', status: 'created' },
    });
    const deposited = await gateway.call('/accounts/acc-001/deposit', { body: { amount: '500.00' } });
    expect([deposited.status, deposited.body]).toEqual([200, { account_id: 'acc-001', status: 'deposited', amount: '500.00' }]);
    const withdrawn = await gateway.call('/accounts/acc-001/withdraw', { body: { amount: '1500' } });
    expect([withdrawn.status, withdrawn.body]).toEqual([200, { account_id: 'acc-001', status: 'withdrawn', amount: '1500.00' }]);
    const closed = await gateway.call('/accounts/acc-001/close', { method: 'POST' });
    expect([closed.status, closed.body]).toEqual([200, { account_id: 'acc-001', status: 'closed' }]);
    expect((await gateway.call('/accounts/acc-001')).body).toEqual({
      ...{ account_id: 'acc-001', owner_name: 'Alice', status: 'closed', balance: '0.00', version: 4 },
    });
  });

  test('have a history, page by page', async () => {
    await gateway.open('told', '0.10');
    for (const amount of ['0.20', '0.30']) await gateway.call('/accounts/told/deposit', { body: { amount } });
    const { status, body } = await gateway.call('/accounts/told/history?limit=2');
    expect(status).toBe(200);
    const at = expect.stringMatching(/^20\d\d-.*Z$/) as unknown;
    expect(body).toEqual({
      ...{ account_id: 'told', version: 3, next_after: 2 },
      events: [
        { version: 1, event: 'AccountOpened', at, owner: 'Owner of told', initial_balance: '0.10' },
        { version: 2, event: 'MoneyDeposited', at, amount: '0.20' },
      ],
    });
    const rest = await gateway.call('/accounts/told/history?after=2');
    expect(rest.body).toMatchObject({ next_after: null, events: [{ version: 3, amount: '0.30' }] });
    expect((await gateway.call('/accounts/told')).body).toMatchObject({ balance: '0.60', version: 3 });
  });

  test('have any id', async () => {
    const id = 'a/b c%😀?#';
    expect((await gateway.open(id)).status).toBe(201);
    expect((await gateway.call(`/accounts/${encodeURIComponent(id)}`)).body).toMatchObject({ account_id: id, balance: '100.00' });
  });

  test('a repeated withdrawal that emptied the account answers as the first did', async () => {
    await gateway.open('emptied', '30.00');
    const call = { body: { amount: '30.00' }, key: 'once' };
    const first = await gateway.call('/accounts/emptied/withdraw', call);
    const second = await gateway.call('/accounts/emptied/withdraw', call);
    expect([first.status, second.status, second.body]).toEqual([200, 200, first.body]);
    const other = await bank.gateway();
    expect((await other.call('/accounts/emptied/withdraw', call)).body).toEqual(first.body);
    expect((await gateway.call('/accounts/emptied')).body).toMatchObject({ balance: '0.00', version: 2 });
    const reused = await gateway.call('/accounts/emptied/deposit', call);
    expect([reused.status, reused.body['code']]).toEqual([409, 'idempotency.mismatch']);
    // With another amount it is a repeat all the same: it says what was withdrawn, not what was asked for now.
    expect((await other.call('/accounts/emptied/withdraw', { ...call, body: { amount: '1.00' } })).body).toEqual(first.body);
  });
});

describe('refusals', () => {
  const problem = async (path: string, call: Parameters<Gateway['call']>[1]) => {
    const { status, headers, body } = await gateway.call(path, call);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({ status, type: 'about:blank' });
    return [status, body['code'], body] as const;
  };

  test.each([
    ['no JSON', '/accounts', { body: '{' }, 400, 'http.body_not_json'],
    ['no object', '/accounts', { body: '[]' }, 400, 'input.invalid'],
    ['nothing in it', '/accounts', { body: {} }, 400, 'input.invalid'],
    ['no id', '/accounts', { body: { account_id: '', owner_name: 'A', initial_balance: '1' } }, 400, 'input.invalid'],
    ['a binary fraction', '/accounts/x/deposit', { body: { amount: 0.1 } }, 400, 'input.invalid'],
    ['a third decimal', '/accounts/x/deposit', { body: { amount: '0.001' } }, 400, 'input.invalid'],
    ['no amount', '/accounts/x/withdraw', { method: 'POST' }, 400, 'input.invalid'],
    ['a page of no size', '/accounts/x/history?limit=0', {}, 400, 'input.invalid'],
    ['an empty key of repeats', '/accounts/x/deposit', { body: { amount: '1' }, key: '' }, 400, 'http.bad_header'],
    ['an unknown account', '/accounts/nobody', {}, 404, 'account_not_found'],
    ['the history of one', '/accounts/nobody/history', {}, 404, 'account_not_found'],
    ['a deposit into one', '/accounts/nobody/deposit', { body: { amount: '1' } }, 404, 'account_not_found'],
    ['the end of one', '/accounts/nobody/close', { method: 'POST' }, 404, 'account_not_found'],
    ['no such path', '/account', {}, 404, 'http.not_found'],
    ['an account without an id', '/accounts/', {}, 404, 'http.not_found'],
    ['a method that is not there', '/accounts', { method: 'GET' }, 405, 'http.method_not_allowed'],
    ['another one', '/accounts/x', { method: 'DELETE' }, 405, 'http.method_not_allowed'],
  ] as const)('%s', async (_what, path, call, status, code) => {
    expect((await problem(path, call)).slice(0, 2)).toEqual([status, code]);
  });

  test('what the rules of accounts refuse has its code and amounts, and changes nothing', async () => {
    await gateway.open('ruled', '10.00');
    const rules = [
      [
        await problem('/accounts/ruled/withdraw', { body: { amount: '10.01' } }),
        'insufficient_funds',
        { balance: '10.00', requested: '10.01' },
      ],
      [await problem('/accounts/ruled/deposit', { body: { amount: '0' } }), 'amount_not_positive', { amount: '0.00' }],
      [await problem('/accounts/ruled/withdraw', { body: { amount: '-1' } }), 'amount_not_positive', { amount: '-1.00' }],
      [await problem('/accounts/ruled/close', { method: 'POST' }), 'balance_not_zero', { balance: '10.00' }],
    ] as const;
    for (const [found, code, more] of rules) {
      expect(found.slice(0, 2)).toEqual([422, code]);
      expect(found[2]).toMatchObject(more);
    }
    const negative = { account_id: 'debtor', owner_name: 'D', initial_balance: '-1.00' };
    expect((await problem('/accounts', { body: negative })).slice(0, 2)).toEqual([422, 'negative_initial_balance']);
    const again = { account_id: 'ruled', owner_name: 'R', initial_balance: '1.00' };
    expect((await problem('/accounts', { body: again })).slice(0, 2)).toEqual([409, 'account_already_exists']);
    expect((await gateway.call('/accounts/ruled')).body).toMatchObject({ balance: '10.00', version: 1 });
    await gateway.open('done', '0.00');
    await gateway.call('/accounts/done/close', { method: 'POST' });
    expect((await problem('/accounts/done/deposit', { body: { amount: '1' } })).slice(0, 2)).toEqual([422, 'account_not_open']);
  });
});

describe('a handler that stands still', () => {
  test('its accounts answer 504 at the deadline; the repeat of a deposit counts once', async () => {
    await gateway.open('waiting', '1.00');
    const deposit = (timeoutMs: number) => gateway.call('/accounts/waiting/deposit', { body: { amount: '2.00' }, key: 'slow', timeoutMs });
    handler.signal('SIGSTOP');
    try {
      const { status, headers, body } = await deposit(300);
      expect([status, headers['content-type'], body['executed']]).toEqual([
        504,
        expect.stringMatching(/^application\/problem\+json/),
        'unknown',
      ]);
    } finally {
      handler.signal('SIGCONT');
    }
    expect((await deposit(20_000)).status).toBe(200);
    expect((await gateway.call('/accounts/waiting')).body).toMatchObject({ balance: '3.00', version: 2 });
  });
});

describe('looked after', () => {
  test('health and metrics of both roles', async () => {
    const { status, body } = await gateway.call('/health');
    expect([status, body['status']]).toEqual([200, 'ok']);
    expect((await gateway.call('/metrics')).body['text']).toContain('perkey_cluster_requests_in_flight');
    const own = new Gateway(handler, `http://127.0.0.1:${handler.port('health and metrics')}`);
    expect((await own.call('/health')).body).toMatchObject({ status: 'ok', checks: { shards: 64 } });
    expect((await own.call('/metrics')).body['text']).toContain('perkey_cluster_shards_owned');
  });
});
