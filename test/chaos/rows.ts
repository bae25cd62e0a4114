import type { Row } from './harness/row.ts';
import { deaths, rollingRestart } from './rows/deaths.ts';
import { durableRows } from './rows/durable.ts';
import { durableStoreRows } from './rows/durable-stores.ts';
import { identityRows } from './rows/identities.ts';
import { limitRows } from './rows/limits.ts';
import { linkRows } from './rows/links.ts';
import { mixRows } from './rows/mix.ts';
import { overloadRows } from './rows/overload.ts';
import { serverRows } from './rows/servers.ts';

export const rows: readonly Row[] = [
  ...deaths,
  ...serverRows,
  ...linkRows,
  ...limitRows,
  ...overloadRows,
  ...identityRows,
  ...durableRows,
  ...durableStoreRows,
  ...mixRows,
  rollingRestart,
];
