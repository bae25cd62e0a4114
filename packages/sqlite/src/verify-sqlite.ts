import { PerkeyError } from '@perkey/core';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { FileFault } from './file-fault.ts';
import type { SqliteReport } from './file-check.ts';
import { openingFailed } from './store-errors.ts';

export type { SqliteReport } from './file-check.ts';

/**
 * Looks through the whole file of a store: every page, and every record against the head of its stream. Takes as long as it takes to read the
 * file, in a thread of its own; the store may be open meanwhile. Rejects with `store.refused` or `store.unavailable` for a file that is no store.
 */
export async function verifySqlite(path: string): Promise<SqliteReport> {
  const file = import.meta.url.endsWith('.ts') ? 'verify-thread.ts' : 'verify-thread.js';
  const thread = new Worker(new URL(file, import.meta.url), { workerData: path, execArgv: [], name: 'perkey-sqlite-verify' });
  try {
    const [answer] = (await once(thread, 'message')) as [{ report: SqliteReport } | { fault: FileFault }];
    if ('fault' in answer) throw openingFailed(answer.fault, path);
    return answer.report;
  } catch (error) {
    throw error instanceof PerkeyError ? error : openingFailed({ reason: 'other', text: String(error) }, path);
  } finally {
    await thread.terminate();
  }
}
