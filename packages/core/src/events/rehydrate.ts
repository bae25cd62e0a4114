import { PerkeyError } from '../base/errors.ts';
import type { LogRead, StreamName } from '../contract/commit-log.ts';
import { Bookkeeping } from './bookkeeping.ts';
import type { BookkeepingLimits } from './bookkeeping.ts';
import { noHead } from './commit.ts';
import type { Commit, StreamHead } from './commit.ts';
import type { EventCatalogue } from './event-catalogue.ts';
import type { EventStore } from './event-store.ts';
import type { BegunRead } from './load.ts';
import type { SnapshotContent } from './snapshot-body.ts';
import type { Snapshots } from './snapshots.ts';
import type { StoredEvent } from './stored-event.ts';

/** How a state is made of events. */
export interface Fold<State> {
  readonly catalogue: EventCatalogue;
  /** Of the form of the state, for snapshots. */
  readonly stateVersion: number;
  readonly initial: () => State;
  /** Pure. What it throws ends the load. */
  readonly apply: (state: State, event: StoredEvent) => State;
}

export interface RehydrateParts<State> {
  readonly events: EventStore;
  /** Absent: everything is read. */
  readonly snapshots?: Snapshots | undefined;
  readonly stream: StreamName;
  readonly fold: Fold<State>;
  readonly limits: BookkeepingLimits;
  /** Under which the actor is loaded. */
  readonly epoch: number;
  readonly signal?: AbortSignal | undefined;
  /** As for a read of the log. */
  readonly reached?: LogRead['reached'];
}

/** An actor as its stream says. */
export interface Rehydrated<State> {
  readonly state: State;
  readonly bookkeeping: Bookkeeping;
  readonly head: StreamHead;
  /** The version of the snapshot that it was begun with; 0: none was. */
  readonly snapshotVersion: number;
}

/**
 * What the stream's events and notes come to: a snapshot and what lies behind it, which is the same as all from the beginning. A snapshot
 * counts only if the log holds the very record that it was taken at; else the next older one is tried, and at last there is none.
 * Rejects as `EventStore.load` does, with `event.unknown`, and with what `apply` throws.
 */
export async function rehydrate<State>(parts: RehydrateParts<State>): Promise<Rehydrated<State>> {
  const { snapshots, stream, fold, limits, epoch } = parts;
  const begun = snapshots === undefined ? undefined : beginAt(parts, snapshots.placeOf(stream, epoch)?.sequence);
  try {
    for await (const content of snapshots?.load(stream, fold.stateVersion) ?? []) {
      try {
        const bookkeeping = Bookkeeping.restore(content.bookkeeping, limits);
        const rehydrated = await replay(parts, content.state as State, bookkeeping, content, begun);
        snapshots?.used(stream, content, epoch);
        return rehydrated;
      } catch (thrown) {
        if (!isDoubtful(thrown)) throw thrown;
        snapshots?.notInLog(stream, content, thrown.message);
      }
    }
  } finally {
    begun?.drop();
  }
  return replay(parts, fold.initial(), new Bookkeeping(limits), undefined, undefined);
}

/** What lies behind the snapshot is read while that is, where its place is known. */
function beginAt<State>({ events, stream, signal, reached }: RehydrateParts<State>, place: number | undefined): BegunRead | undefined {
  return place === undefined ? undefined : events.begin(stream, place, { many: true, signal, reached });
}

/** Whether the snapshot may be at fault. If it is not, reading everything fails in the same way. */
function isDoubtful(thrown: unknown): thrown is Error {
  return thrown instanceof RangeError || (thrown instanceof PerkeyError && thrown.code === 'stream.corrupt');
}

async function replay<State>(
  { events, stream, fold, signal, reached }: RehydrateParts<State>,
  from: State,
  bookkeeping: Bookkeeping,
  snapshot: SnapshotContent | undefined,
  begun: BegunRead | undefined,
): Promise<Rehydrated<State>> {
  let state = from;
  const visit = (commit: Commit): void => {
    state = applyCommit(fold, state, commit);
    bookkeeping.apply(commit.notes(), commit.at);
  };
  const head = await events.load(stream, visit, {
    from: snapshot?.head ?? noHead,
    confirm: true,
    many: snapshot !== undefined,
    signal,
    reached,
    begun,
  });
  return { state, bookkeeping, head, snapshotVersion: snapshot?.head.version ?? 0 };
}

/** The state after the events of a commit. */
export function applyCommit<State>({ catalogue, apply }: Fold<State>, state: State, commit: Commit): State {
  let next = state;
  const { events } = commit;
  for (let i = 0; i < events.length; i += 1) next = apply(next, catalogue.lead(events[i] as StoredEvent));
  return next;
}
