import { test } from 'vitest';
import { storeSuite } from '../testkit/contract-suites/store-suite.ts';
import { memoryStore } from './memory-store.ts';

storeSuite({
  test,
  name: 'memory',
  open: () => {
    const store = memoryStore();
    return Promise.resolve({ store, another: store, cluster: 'test', close: () => Promise.resolve() });
  },
});
