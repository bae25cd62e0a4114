import type { Clock } from '../../base/clock.ts';
import type { RecordListener, RecordStore } from '../../contract/record-store.ts';
import { PerkeyError } from '../../base/errors.ts';
import type { ControlLink, ControlLinkEvents, LinkEnvironment, Publication, Publish, Transport } from '../../contract/transport.ts';
import { FaultyRecordStore } from './faulty-record-store.ts';
import type { StoreConnection } from './faulty-record-store.ts';
import { Gate } from './gate.ts';
import { LinkKeeper } from './link-keeper.ts';
import type { FaultyConnection } from './link-keeper.ts';
import type { ProcessFaults } from './process-faults.ts';
import type { RecordHistory, StoreName } from './record-history.ts';

export interface FaultyControlParts {
  readonly transport: Transport;
  readonly nodeId: string;
  readonly events: ControlLinkEvents;
  readonly environment: LinkEnvironment;
  readonly faults: ProcessFaults;
  /** The clock of the wire: delays go on while a process is frozen or dead. */
  readonly clock: Clock;
  readonly history: RecordHistory;
  readonly storeTimeoutMs: number;
}

class ControlConnection implements FaultyConnection, StoreConnection {
  readonly in: Gate;
  readonly out: Gate;
  readonly unanswered = new Set<() => void>();
  readonly #watches: Readonly<Record<StoreName, Gate>>;
  readonly #onState: (up: boolean) => void;
  #inner: ControlLink | undefined;
  #isDropped = false;

  constructor(parts: FaultyControlParts, onState: (up: boolean) => void) {
    const { faults, clock, environment } = parts;
    this.in = new Gate(faults.paths.control.in, clock, environment.clock);
    this.out = new Gate(faults.paths.control.out, clock, clock);
    this.#watches = {
      members: new Gate(faults.members.watchPath, clock, environment.clock),
      shards: new Gate(faults.shards.watchPath, clock, environment.clock),
    };
    this.#onState = onState;
  }

  async open(parts: FaultyControlParts): Promise<this> {
    const onState = (up: boolean): void => {
      if (!up) this.#lose();
      this.#onState(up);
    };
    this.#inner = await parts.transport.openControl(parts.nodeId, { onState }, parts.environment);
    return this;
  }

  get inner(): ControlLink {
    if (this.#inner === undefined) throw new Error('the connection is used before it is open');
    return this.#inner;
  }

  get up(): boolean {
    return !this.#isDropped && this.inner.up;
  }

  store(name: StoreName): RecordStore {
    return this.inner[name];
  }

  /** Tells the listener on the way that watches of this store go. */
  listener(name: StoreName, listener: RecordListener): RecordListener {
    const watch = this.#watches[name];
    const tell = (run: () => void): void => {
      const watched = (): void => {
        if (!this.#isDropped) run();
      };
      if (!this.#isDropped) this.in.pass(() => watch.pass(watched, true), true);
    };
    return {
      onRecord: (record) => tell(() => listener.onRecord(record)),
      onSynced: () => tell(() => listener.onSynced()),
    };
  }

  publish(publication: Publication): Promise<void> {
    const { publish } = this.inner;
    return new Promise((resolve, reject) => {
      const lost = (): void => reject(new PerkeyError('store.unavailable', 'the connection was lost'));
      this.unanswered.add(lost);
      const answer = (give: () => void): void => {
        this.in.pass(() => {
          if (this.unanswered.delete(lost)) give();
        }, true);
      };
      this.out.pass(() => {
        publish?.(publication).then(
          () => answer(resolve),
          (error: unknown) => answer(() => reject(error)),
        );
      }, true);
    });
  }

  reset(): void {
    this.inner.reset();
    this.#lose();
  }

  changed(): void {
    for (const gate of [this.in, this.out, this.#watches.members, this.#watches.shards]) gate.changed();
  }

  drop(gone: () => void, crashed: boolean): Promise<void> {
    this.#isDropped = true;
    if (crashed) this.unanswered.clear();
    this.#lose();
    let closed = Promise.resolve();
    this.out.whenEmpty(() => {
      closed = this.inner.close();
      gone();
    });
    return closed;
  }

  /** Nothing of this connection arrives any more. What was sent may still take effect. */
  #lose(): void {
    for (const gate of [this.in, this.#watches.members, this.#watches.shards]) gate.clear();
    for (const reject of this.unanswered) reject();
  }
}

export class FaultyControlLink implements ControlLink {
  readonly members: RecordStore;
  readonly shards: RecordStore;
  readonly #keeper: LinkKeeper<ControlConnection>;

  constructor(parts: FaultyControlParts) {
    const keeper: LinkKeeper<ControlConnection> = new LinkKeeper<ControlConnection>({
      kind: 'control',
      faults: parts.faults,
      environment: parts.environment,
      onState: (up) => parts.events.onState(up),
      connect: async (onState) => {
        const connection = await new ControlConnection(parts, onState).open(parts);
        try {
          for (const store of [members, shards]) await store.rewatch(connection);
        } catch (error) {
          void connection.drop(() => {}, false);
          throw error;
        }
        return connection;
      },
    });
    const storeOf = (name: StoreName): FaultyRecordStore =>
      new FaultyRecordStore({ ...parts, name, faults: parts.faults[name], guard: keeper.guard, connection: () => keeper.current });
    const members = storeOf('members');
    const shards = storeOf('shards');
    this.members = members;
    this.shards = shards;
    this.#keeper = keeper;
  }

  async open(): Promise<this> {
    await this.#keeper.open();
    return this;
  }

  /** A message that leaves may be lost on the way out, or its acknowledgement on the way in. */
  readonly publish: Publish = (publication) => {
    const { current } = this.#keeper;
    if (current === undefined) return Promise.reject(new PerkeyError('store.unavailable', 'not connected to the broker'));
    return current.publish(publication);
  };

  get up(): boolean {
    return this.#keeper.up;
  }

  reset(): void {
    this.#keeper.reset();
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }
}
