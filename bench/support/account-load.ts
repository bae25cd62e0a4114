import type { Node } from '@perkey/core';
import { Account } from './account.ts';
import { LoadMeter, type LoadResult } from './load-meter.ts';

/** Deposits, each account with one command at a time: what a user writes. */
export function depositLoad(node: Node, accounts: number, ms: number): Promise<LoadResult> {
  const meter = new LoadMeter(accounts);
  const work = async (key: string): Promise<void> => {
    while (meter.open) {
      const startedAt = meter.timesNext ? performance.now() : -1;
      await node.actor(Account, key).deposit({ amount: 1 });
      if (startedAt >= 0) meter.sample(performance.now() - startedAt);
      meter.count();
    }
  };
  return meter.measure(ms, () => Promise.all(Array.from({ length: accounts }, (_, i) => work(`account-${i}`))));
}
