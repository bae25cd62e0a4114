import type { Clock } from '../../base/clock.ts';
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
} from '../../contract/transport.ts';
import { FaultyControlLink } from '../faults/faulty-control-link.ts';
import { FaultyDataLink } from '../faults/faulty-data-link.ts';
import type { ProcessFaults } from '../faults/process-faults.ts';
import type { RecordHistory } from '../faults/record-history.ts';

export interface ProcessTransportParts {
  readonly inner: Transport;
  readonly faults: ProcessFaults;
  /** The clock of the wires. */
  readonly clock: Clock;
  readonly history: RecordHistory;
  readonly owners: Map<Address, ProcessFaults>;
  /** Told of each frame in the moment in which the process hands it over. */
  readonly onSent: (role: NodeRole | ClientRole, frame: Uint8Array) => void;
}

const storeTimeoutMs = 1_000;

/** The transport of one process: whatever ids it goes by, its faults are its own. */
export class ProcessTransport implements Transport {
  readonly name: string = 'simulated';
  readonly #parts: ProcessTransportParts;

  constructor(parts: ProcessTransportParts) {
    this.#parts = parts;
  }

  openData(role: NodeRole | ClientRole, events: DataLinkEvents, environment: LinkEnvironment): Promise<DataLink> {
    const { inner, faults, clock, owners, onSent } = this.#parts;
    const parts = { transport: inner, role, events, environment, faults, clock, owners };
    return new FaultyDataLink({ ...parts, onSent: (frame) => onSent(role, frame) }).open();
  }

  openControl(nodeId: string, events: ControlLinkEvents, environment: LinkEnvironment): Promise<ControlLink> {
    const { inner, faults, clock, history } = this.#parts;
    return new FaultyControlLink({ transport: inner, nodeId, events, environment, faults, clock, history, storeTimeoutMs }).open();
  }
}
