import { PullSession } from './pull-session.ts';
import type { ReadPlace } from './log-reader.ts';
import { eraseMessage } from './store-link.ts';

/** Messages that are removed at the same time. */
const widthMax = 64;

/**
 * Removes the messages of a subject below a sequence, the oldest first, message by message and not by a purge: on server 2.9 a purge of one
 * subject makes consumers skip what they have not yet delivered of all others. Rejects with `store.unavailable`; what is gone by then stays so.
 */
export async function eraseBefore({ link, names, pullBytesMax }: ReadPlace, subject: string, before: number): Promise<void> {
  const { natsStream } = names;
  const session = await PullSession.open(link, {
    natsStream,
    filters: [subject],
    deliver: { deliver_policy: 'by_start_sequence', opt_start_seq: 1 },
    end: 0,
    headersOnly: true,
    countMax: 1_024,
    bytesMax: pullBytesMax,
  });
  try {
    for (;;) {
      const records = session.take(widthMax);
      const below = records.filter(({ sequence }) => sequence < before);
      await Promise.all(below.map(({ sequence }) => eraseMessage(link, natsStream, sequence)));
      if (below.length < records.length || session.live) return;
      await session.more();
    }
  } finally {
    session.end();
  }
}
