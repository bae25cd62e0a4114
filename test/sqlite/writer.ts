import { sqlite } from '@perkey/sqlite';
import { storeEnvironment } from '@perkey/core/testing';

/**
 * A process that appends to many streams of a store as fast as it can, until it is killed. What was acknowledged of a stream is said, and has left
 * the process, before the next append of that stream.
 */
const [path = '', synchronous = 'full', streams = '16'] = process.argv.slice(2);
const store = await sqlite({ path, synchronous: synchronous as 'full' }).open(storeEnvironment());
process.stdout.write('open\n');

async function write(key: string): Promise<never> {
  let sequence = 0;
  for (let number = 1; ; number += 1) {
    const body = Buffer.from(`${key} ${number}`.padEnd(100));
    const outcome = await store.events.append({ stream: { type: 'Account', key }, shard: 1, expectedSequence: sequence, epoch: 1, body });
    if (outcome.kind !== 'appended') throw new Error(JSON.stringify(outcome));
    sequence = outcome.sequence;
    await new Promise<unknown>((resolve) => void process.stdout.write(`${key} ${number}\n`, resolve));
  }
}

await Promise.all(Array.from({ length: Number(streams) }, (_, i) => write(`s${i}`)));
