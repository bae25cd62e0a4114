import type { Clock } from '../base/clock.ts';
import type {
  Address,
  ClientRole,
  ControlLink,
  ControlLinkEvents,
  DataLink,
  DataLinkEvents,
  LinkEnvironment,
  NodeRole,
  Transport,
} from '../contract/transport.ts';
import { FaultyControlLink } from './faults/faulty-control-link.ts';
import { FaultyDataLink } from './faults/faulty-data-link.ts';
import { ProcessFaults } from './faults/process-faults.ts';
import { RecordHistory } from './faults/record-history.ts';

export interface FaultyTransportOptions {
  /** The clock of the wires and stores, which no process freezes. */
  readonly clock: Clock;
  /** When a store call without an answer rejects. Default 1,000. */
  readonly storeTimeoutMs?: number | undefined;
}

/**
 * Any transport, with faults. It is the same as the one underneath until a verb of `of(id)` is called, except that it scrambles the bytes
 * of a frame after its receiver returned. All members under test share one, so that it knows whose address is whose.
 */
export class FaultyTransport implements Transport {
  readonly name: string;
  /** Every write that was applied through this transport. */
  readonly history: RecordHistory = new RecordHistory();
  readonly #inner: Transport;
  readonly #clock: Clock;
  readonly #storeTimeoutMs: number;
  readonly #processes = new Map<string, ProcessFaults>();
  readonly #owners = new Map<Address, ProcessFaults>();

  constructor(inner: Transport, options: FaultyTransportOptions) {
    this.name = `faulty ${inner.name}`;
    this.#inner = inner;
    this.#clock = options.clock;
    this.#storeTimeoutMs = options.storeTimeoutMs ?? 1_000;
  }

  /** The faults of a process: a node by its id, a client by its client id. It need not exist yet. */
  of(id: string): ProcessFaults {
    let faults = this.#processes.get(id);
    if (faults === undefined) this.#processes.set(id, (faults = new ProcessFaults(this.#clock, this.history)));
    return faults;
  }

  /** Ends every fault of every process. */
  healAll(): void {
    for (const faults of this.#processes.values()) faults.heal();
  }

  openData(role: NodeRole | ClientRole, events: DataLinkEvents, environment: LinkEnvironment): Promise<DataLink> {
    const faults = this.of(role.kind === 'node' ? role.nodeId : role.clientId);
    const parts = { transport: this.#inner, role, events, environment, faults, clock: this.#clock, owners: this.#owners };
    return new FaultyDataLink(parts).open();
  }

  openControl(nodeId: string, events: ControlLinkEvents, environment: LinkEnvironment): Promise<ControlLink> {
    return new FaultyControlLink({
      transport: this.#inner,
      nodeId,
      events,
      environment,
      faults: this.of(nodeId),
      clock: this.#clock,
      history: this.history,
      storeTimeoutMs: this.#storeTimeoutMs,
    }).open();
  }
}
