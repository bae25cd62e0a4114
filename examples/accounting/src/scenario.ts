import { type Client, isActorError } from '@perkey/core';
import type { Logger } from 'pino';
import { Account } from './contract.ts';
import { parseMoney, showMoney } from './money.ts';
import type { AccountingNodes } from './nodes.ts';

const owners = { alice: 'Alice', bob: 'Bob', charlie: 'Charlie' };
const ids = ['alice', 'bob', 'charlie'] as const;

/** Opens three accounts, moves money, restarts every node, and asks what is there. Resolves to the last line of the log. */
export async function runScenario(client: Client, nodes: AccountingNodes, log: Logger): Promise<string> {
  const account = (id: string) => client.actor(Account, id);
  const at = (id: string): { node: string | undefined; account: string } => ({ node: nodes.nodeOf(id), account: id });

  log.info('=== Demo: Event-Sourced Bank Accounts ===');
  log.info('opening accounts...');
  for (const id of ids) {
    try {
      const { balance } = await account(id).open({ owner: owners[id], initialBalance: '100.00' });
      log.info({ ...at(id), balance: showMoney(balance) }, 'opened account');
    } catch (error) {
      if (!isActorError(Account, error, 'account_already_exists')) throw error;
      const { balance } = await account(id).balance();
      log.info({ ...at(id), balance: showMoney(balance) }, 'account is open already');
    }
  }

  log.info('performing transactions...');
  const deposit = async (id: string, amount: string): Promise<void> => {
    const { balance } = await account(id).deposit({ amount });
    log.info({ ...at(id), amount: shown(amount), balance: showMoney(balance) }, 'deposited');
  };
  await deposit('alice', '50.00');
  try {
    const { balance } = await account('bob').withdraw({ amount: '30.00' });
    log.info({ ...at('bob'), amount: shown('30.00'), balance: showMoney(balance) }, 'withdrew');
  } catch (error) {
    // After a few runs that kept the history, nothing is left.
    if (!isActorError(Account, error, 'insufficient_funds')) throw error;
    const { balance, requested } = error.details.data;
    log.warn({ ...at('bob'), balance: showMoney(balance), requested: showMoney(requested) }, 'insufficient funds');
  }
  await deposit('charlie', '200.00');

  log.info('restarting every node...');
  await nodes.stop();
  await nodes.start();

  log.info('querying final balances...');
  for (const id of ids) {
    const { balance, version } = await account(id).balance();
    log.info({ ...at(id), balance: showMoney(balance), version }, 'get balance');
  }
  return 'demo complete, shutting down...';
}

function shown(amount: string): string {
  return showMoney(parseMoney(amount));
}
