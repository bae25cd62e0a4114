import { storeAppendCases } from './store-append-cases.ts';
import { storeConcurrencyCases } from './store-concurrency-cases.ts';
import { storeFollowCases } from './store-follow-cases.ts';
import { storeLifeCases } from './store-life-cases.ts';
import { storeReadCases } from './store-read-cases.ts';
import { storeRecordCases } from './store-record-cases.ts';
import { storeSnapshotCases } from './store-snapshot-cases.ts';
import { storeStateCases } from './store-state-cases.ts';
import { StoreWorld } from './store-world.ts';
import type { StoreSubject } from './store-world.ts';
import { defineSuite } from './suite.ts';
import type { SuiteCases, SuiteOptions } from './suite.ts';

/** What every `Store` must do, whatever it is made of. Each case has fresh data. */
export function storeSuite(options: SuiteOptions<StoreSubject>): void {
  const cases: SuiteCases<StoreWorld> = {
    ...storeAppendCases,
    ...storeReadCases,
    ...storeFollowCases,
    ...storeConcurrencyCases,
    ...storeStateCases,
    ...storeSnapshotCases,
    ...storeRecordCases,
    ...storeLifeCases,
  };
  defineSuite(Object.fromEntries(Object.entries(cases).map(([name, run]) => [name, inWorld(run)])), options);
}

function inWorld(run: (world: StoreWorld) => Promise<void>): (subject: StoreSubject) => Promise<void> {
  return async (subject) => {
    const world = await StoreWorld.open(subject);
    try {
      await run(world);
    } finally {
      await world.close();
    }
  };
}
