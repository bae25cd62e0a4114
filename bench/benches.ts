import { append } from './append.ts';
import { bank } from './bank.ts';
import { call } from './call.ts';
import { codec } from './codec.ts';
import { failover } from './failover.ts';
import { history } from './history.ts';
import { http } from './http.ts';
import { load } from './load.ts';
import { local } from './local.ts';
import { memory } from './memory.ts';
import { placement } from './placement.ts';
import { replay } from './replay.ts';
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
  { name: 'append', about: 'commands of 256 aggregates in memory, SQLite and JetStream, beside the bare stores', run: append },
  { name: 'load', about: 'the activation of aggregates with long histories, with and without snapshot, beside raw reads', run: load },
  { name: 'replay', about: 'a projection over 1,000,000 events, beside raw reads of the same records', run: replay },
  { name: 'bank', about: '50,000 operations over 100 accounts, one after the other', run: bank },
];
