import { storeSuite } from '@perkey/core/testing';
import { sqlite } from './sqlite.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';

const shared = 'a file belongs to one node';

storeSuite({
  test,
  name: 'sqlite',
  open: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'perkey-sqlite-'));
    return {
      // When bytes are forced to the disk changes none of these laws, and takes most of the time.
      store: sqlite({ path: join(folder, 'deep/er/store.db'), synchronous: 'normal' }),
      cluster: 'test',
      close: () => rm(folder, { recursive: true, force: true }),
    };
  },
  skip: {
    '10 writers on two nodes with 50 rounds each leave versions without a gap or a double': shared,
    'what one node was told is what another one meets': shared,
    'a read that follows sees what another node appends': shared,
    'snapshots: another node sees them': shared,
    'records: a second connection sees the same records': shared,
  },
});
