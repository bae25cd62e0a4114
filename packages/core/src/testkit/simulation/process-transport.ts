import type { Clock } from '../../base/clock.ts';
import type {
  Address,
  ClientRole,
  ControlLink,
  ControlLinkEvents,
  DataLink,
  DataLinkEvents,
  ForeignCall,
  LinkEnvironment,
  NodeRole,
  ServiceDescription,
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

  async openData(role: NodeRole | ClientRole, events: DataLinkEvents, environment: LinkEnvironment): Promise<DataLink> {
    const { inner, faults, clock, owners, onSent } = this.#parts;
    const link = await new FaultyDataLink({ transport: inner, role, events, environment, faults, clock, owners }).open();
    return new WatchedLink(link, (frame) => onSent(role, frame));
  }

  openControl(nodeId: string, events: ControlLinkEvents, environment: LinkEnvironment): Promise<ControlLink> {
    const { inner, faults, clock, history } = this.#parts;
    return new FaultyControlLink({ transport: inner, nodeId, events, environment, faults, clock, history, storeTimeoutMs }).open();
  }
}

/** A data link that says what it sends. */
class WatchedLink implements DataLink {
  readonly #link: DataLink;
  readonly #onSent: (frame: Uint8Array) => void;

  constructor(link: DataLink, onSent: (frame: Uint8Array) => void) {
    this.#link = link;
    this.#onSent = onSent;
  }

  get address(): Address {
    return this.#link.address;
  }

  get frameBytesMax(): number {
    return this.#link.frameBytesMax;
  }

  get up(): boolean {
    return this.#link.up;
  }

  get anyNode(): Address {
    return this.#link.anyNode;
  }

  get everyClient(): Address {
    return this.#link.everyClient;
  }

  nodeAddress(nodeId: string, incarnation: string): Address {
    return this.#link.nodeAddress(nodeId, incarnation);
  }

  peerAddress(nodeId: string, incarnation: string): Address {
    return this.#link.peerAddress(nodeId, incarnation);
  }

  send(to: Address, frame: Uint8Array, token: number): boolean {
    const isSent = this.#link.send(to, frame, token);
    if (isSent) this.#onSent(frame);
    return isSent;
  }

  serveForeignCalls(service: ServiceDescription, answer: (call: ForeignCall) => Promise<unknown>): Promise<void> {
    return this.#link.serveForeignCalls(service, answer);
  }

  retire(): Promise<void> {
    return this.#link.retire();
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  reset(): void {
    this.#link.reset();
  }
}
