import { systemClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { MetricsRegistry } from '../../base/metrics-registry.ts';
import { systemRandom } from '../../base/random.ts';
import type {
  Address,
  ControlLink,
  DataLink,
  DataLinkEvents,
  LinkEnvironment,
  NodeRole,
  Transport,
  Via,
} from '../../contract/transport.ts';
import type { ClientRole } from '../../contract/transport.ts';
import type { ForeignCallInput } from '../../memory/memory-hub.ts';
import { Arrivals } from './arrivals.ts';

/** The broker goes away for all links, and comes back. Each resolves when it did. */
export interface Outage {
  begin(): Promise<void>;
  end(): Promise<void>;
}

export interface TransportSubject {
  readonly transport: Transport;
  /** The name of a cluster that no other case uses; the suite also uses it with an `x` at its end. */
  readonly cluster: string;
  readonly outage?: Outage | undefined;
  /** Calls an actor of `cluster` as somebody does who does not run Perkey; rejects with an error that has the `code` of the answer. */
  callJson?(call: ForeignCallInput): Promise<unknown>;
  /** Ends what the subject started. All links are closed before. */
  close(): Promise<void>;
}

export interface ArrivedFrame {
  readonly text: string;
  readonly bytes: number;
  readonly from: Address;
  readonly via: Via;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function frameOf(text: string): Uint8Array {
  return encoder.encode(text);
}

/** A data link with everything that it told since it was opened. */
export class DataProbe implements DataLinkEvents {
  readonly frames: Arrivals<ArrivedFrame> = new Arrivals<ArrivedFrame>();
  readonly undeliverable: Arrivals<number> = new Arrivals<number>();
  readonly states: Arrivals<boolean> = new Arrivals<boolean>();
  readonly #react: (frame: ArrivedFrame) => void;
  /** What `onState` said before the link was open. */
  statesAtOpen: readonly boolean[] = [];
  #link: DataLink | undefined;

  /** `react` runs after a frame was recorded. */
  constructor(react: (frame: ArrivedFrame) => void = () => {}) {
    this.#react = react;
  }

  get link(): DataLink {
    if (this.#link === undefined) throw new Error('the link is not open yet');
    return this.#link;
  }

  set link(link: DataLink) {
    this.#link = link;
  }

  get texts(): readonly string[] {
    return this.frames.items.map((frame) => frame.text);
  }

  send(to: Address, text: string, token: number = -1): boolean {
    return this.link.send(to, frameOf(text), token);
  }

  onFrame(frame: Uint8Array, from: Address, via: Via): void {
    const arrived = { text: decoder.decode(frame), bytes: frame.byteLength, from, via };
    this.frames.push(arrived);
    this.#react(arrived);
  }

  onUndeliverable(token: number): void {
    this.undeliverable.push(token);
  }

  onState(up: boolean): void {
    this.states.push(up);
  }
}

export interface ControlProbe {
  readonly link: ControlLink;
  readonly statesAtOpen: readonly boolean[];
  readonly states: Arrivals<boolean>;
}

export interface OpenOptions {
  readonly cluster?: string;
  readonly connectTimeoutMs?: number;
  readonly onFrame?: (frame: ArrivedFrame) => void;
}

/** Opens links to a subject, and closes them all at the end of a case. */
export class TransportWorld {
  readonly subject: TransportSubject;
  readonly errorsLogged: string[] = [];
  readonly metrics: MetricsRegistry = new MetricsRegistry();
  readonly #links: { close(): Promise<void> }[] = [];

  constructor(subject: TransportSubject) {
    this.subject = subject;
  }

  environment(options: OpenOptions = {}): LinkEnvironment {
    const ignore = (): void => {};
    const log: Logger = { debug: ignore, info: ignore, warn: ignore, error: (_fields, message) => void this.errorsLogged.push(message) };
    return {
      cluster: options.cluster ?? this.subject.cluster,
      clock: systemClock,
      random: systemRandom,
      log,
      metrics: this.metrics,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    };
  }

  node(nodeId: string = 'n1', incarnation: string = systemRandom.hex(8), options: OpenOptions = {}): Promise<DataProbe> {
    return this.#open({ kind: 'node', nodeId, incarnation }, options);
  }

  client(options: OpenOptions = {}): Promise<DataProbe> {
    return this.#open({ kind: 'client', clientId: systemRandom.hex(16) }, options);
  }

  async control(nodeId: string = 'n1', options: OpenOptions = {}): Promise<ControlProbe> {
    const states = new Arrivals<boolean>();
    const link = await this.subject.transport.openControl(nodeId, { onState: (up) => states.push(up) }, this.environment(options));
    this.#links.push(link);
    return { link, states, statesAtOpen: states.takeAll() };
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
    await this.subject.close();
  }

  async #open(role: NodeRole | ClientRole, options: OpenOptions): Promise<DataProbe> {
    const probe = new DataProbe(options.onFrame);
    probe.link = await this.subject.transport.openData(role, probe, this.environment(options));
    this.#links.push(probe.link);
    probe.statesAtOpen = probe.states.takeAll();
    return probe;
  }
}
