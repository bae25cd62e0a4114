import { appendJetStream } from './append-jetstream.ts';
import { appendSqlite } from './append-sqlite.ts';
import { call } from './call.ts';
import { codec } from './codec.ts';
import { failover } from './failover.ts';
import { history } from './history.ts';
import { http } from './http.ts';
import { loadJetStream } from './load-jetstream.ts';
import { local } from './local.ts';
import { memory } from './memory.ts';
import { placement } from './placement.ts';
import { replayJetStream } from './replay-jetstream.ts';
import { replaySqlite } from './replay-sqlite.ts';
import type { Bench } from './support/bench.ts';

/** Every bench by its name, with what it measures. */
export const benches: readonly { readonly name: string; readonly about: string; readonly run: Bench }[] = [
  { name: 'call', about: 'requests over NATS from another process, beside two raw echoes of the same bytes', run: call },
  { name: 'local', about: "requests to an actor on the caller's own node, and turns alone", run: local },
  { name: 'memory', about: 'bytes for an idle actor, and what is left after all were passivated', run: memory },
  { name: 'placement', about: 'balance, movement and time of the placement, beside other ways to place', run: placement },
  { name: 'failover', about: 'what callers see when a node is told to stop, or is killed', run: failover },
  { name: 'http', about: 'the counter demo under autocannon, hey and wrk, beside a bare server', run: http },
  { name: 'codec', about: 'the wire form, beside JSON and msgpackr', run: codec },
  { name: 'history', about: 'a million operations on a thousand keys, decided by the history checker of the test kit', run: history },
  { name: 'append-sqlite', about: 'appends of 256 writers to a SQLite store, beside bare grouped transactions', run: appendSqlite },
  { name: 'replay-sqlite', about: '1,000,000 events read from a SQLite store, beside bare paged reads', run: replaySqlite },
  {
    name: 'append-jetstream',
    about: 'appends of 256 writers to a store in JetStream, beside acknowledged publishes with nothing around them',
    run: appendJetStream,
  },
  { name: 'load-jetstream', about: 'what an activation reads from JetStream, beside raw reads of the same messages', run: loadJetStream },
  { name: 'replay-jetstream', about: '1,000,000 events read from JetStream, beside raw consumers', run: replayJetStream },
];
