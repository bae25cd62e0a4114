import { startNatsServer } from '@perkey/nats/dev';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Bank, Gateway } from './support/bank.ts';
import { DemoProcess, freshCluster } from './support/demo-process.ts';

const hook = join(import.meta.dirname, 'support/loaded-modules.ts');

/** Of stores, of the domain code, and of the handler. */
const notForGateways =
  /node:sqlite|packages\/sqlite\/|packages\/nats\/src\/store\/(?!jetstream(-options)?\.ts)|packages\/nats\/src\/dev|accounting\/src\/(?!contract\.ts|money\.ts)|bank\/src\/handler/;

describe('the gateway', { timeout: 60_000 }, () => {
  test('loads nothing of a store and nothing of the domain code', async () => {
    await using bank = await Bank.start();
    const loadedBy = async (role: string): Promise<readonly string[]> =>
      (await readFile(join(bank.folder, role), 'utf8')).trim().split('\n');
    const options = (role: string) => ({ nodeArgs: ['--import', hook], env: { LOADED_MODULES: join(bank.folder, role) } });
    const gateway = await bank.gateway(options('sender'));
    await bank.handler('handler-0', options('handler').env, options('handler').nodeArgs);
    expect((await gateway.open('acc-1')).status).toBe(201);
    expect((await gateway.call('/accounts/acc-1/history')).status).toBe(200);
    const ofGateway = await loadedBy('sender');
    expect(ofGateway.some((url) => url.endsWith('accounting/src/contract.ts'))).toBe(true);
    expect(ofGateway.filter((url) => notForGateways.test(url))).toEqual([]);
    // The same look at a handler finds all of it.
    const found = (await loadedBy('handler')).filter((url) => notForGateways.test(url));
    for (const part of ['node:sqlite', 'packages/sqlite/', 'accounting/src/account.ts', 'bank/src/handler.ts']) {
      expect(
        found.some((url) => url.includes(part)),
        part,
      ).toBe(true);
    }
  });

  test('needs no JetStream, and answers 503 within the deadline where no handler is', async () => {
    await using server = await startNatsServer({ jetstream: false });
    const env = { ROLE: 'sender', PORT: '0', NATS_URL: server.url, BANK_CLUSTER: freshCluster() };
    await using process = new DemoProcess('bank', [], { env });
    await process.line('Thin client (no database) - Role: CommandSender');
    const { port } = await process.lineLike(/^HTTP Server listening on :\d+$/);
    const gateway = new Gateway(process, `http://127.0.0.1:${String(port)}`);
    const since = performance.now();
    const { status, body } = await gateway.call('/accounts/acc-1', { timeoutMs: 400 });
    expect([status, body['executed']]).toEqual([503, 'no']);
    expect(performance.now() - since).toBeLessThan(3_000);
    expect((await gateway.call('/health')).body).toMatchObject({ status: 'degraded' });
    expect((await process.stop()).code).toBe(0);
    expect(process.lines.at(-1)?.msg).toBe('shutting down...');
  });
});

describe('the roles', () => {
  test.each([
    [{}, 'is not set'],
    [{ ROLE: 'teller' }, 'is "teller"'],
  ])('%j is refused', async (env, message) => {
    const process = new DemoProcess('bank', [], { env });
    expect((await process.exited).code).toBe(2);
    expect(process.stderr).toContain(message);
  });

  test.each([
    ['sender', 'demo:bank:gateway', ['--port', 'PORT', '--nats-url', 'nats://localhost:4222']],
    ['handler', 'demo:bank:handler', ['--db-path', 'DB_PATH', './data/handler.db', '--store', '--health-port']],
  ] as const)('--role %s --help shows its flags', async (role, script, shown) => {
    const process = new DemoProcess('bank', ['--role', role, '--help']);
    expect((await process.exited).code).toBe(0);
    for (const text of [`npm run ${script}`, ...shown]) expect(process.stdout).toContain(text);
  });
});
