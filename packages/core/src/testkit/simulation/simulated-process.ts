import type { Logger } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { ClientRole, NodeRole, Transport } from '../../contract/transport.ts';
import { ProcessFaults } from '../faults/process-faults.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import { ProcessTransport } from './process-transport.ts';
import type { Surroundings } from './surroundings.ts';

/** Clocks of two machines show times that differ by so much at most. */
const wallSkewMs = 1_000;
const rateSkew = 0.01;

/** Lines that say that the runtime caught a defect of its own. */
const defects =
  /callback of the transport threw|listener of the lease failed|claiming a shard failed|handing a shard over failed|could not go on|looking for members/;

/** A process of the simulated world: a clock, links and chance of its own, and what it suffers. */
export class SimulatedProcess {
  readonly name: string;
  readonly faults: ProcessFaults;
  readonly around: Surroundings;
  #clock: VirtualClock;
  #random: Random;
  #lives = 0;

  constructor(name: string, around: Surroundings) {
    this.name = name;
    this.around = around;
    this.faults = new ProcessFaults(around.wires, around.history);
    this.#random = around.randomFor(`${name} 0`);
    this.#clock = around.wires;
    this.#makeTheWiresTakeTime();
  }

  get clock(): VirtualClock {
    return this.#clock;
  }

  get random(): Random {
    return this.#random;
  }

  /** How often it was started. */
  get lives(): number {
    return this.#lives;
  }

  /** Resolves after `ms` of this process's own time; never, where it dies before. */
  sleep(ms: number): Promise<void> {
    const clock = this.#clock;
    return new Promise((resolve) => {
      clock.setTimer(ms, resolve);
    });
  }

  /** The clock and the chance of the next life. */
  protected begin(): VirtualClock {
    const { wires, options } = this.around;
    this.#lives += 1;
    const random = this.around.randomFor(`${this.name} ${this.#lives}`);
    const skew = (most: number): number => (random.next() - 0.5) * 2 * most;
    const rate = options.clocksDiffer ? 1 + skew(rateSkew / 2) : 1;
    this.#clock = wires.fork({ rate, wallMs: wires.wall() + skew(wallSkewMs) });
    this.#random = random;
    return this.#clock;
  }

  protected transport(onSent: (role: NodeRole | ClientRole, frame: Uint8Array) => void): Transport {
    const { hub, wires, history, owners, trace } = this.around;
    return new ProcessTransport({
      ...{ inner: hub.transport({ atOnce: true }), faults: this.faults, clock: wires, history, owners },
      onSent: (role, frame) => {
        trace.bytes(wires.trueMs, this.name, frame);
        onSent(role, frame);
      },
    });
  }

  protected logger(): Logger {
    const line =
      (level: string): Logger['info'] =>
      (fields, message) => {
        const { err, ...rest } = fields as { err?: unknown };
        const text = `${level}: ${message} ${JSON.stringify(rest)}${err instanceof Error ? ` (${err.message})` : ''}`;
        this.around.note(this.name, text);
        if (defects.test(message)) this.around.fail(`${this.name} logged a defect: ${text} ${err instanceof Error ? err.stack : ''}`);
      };
    return { debug: () => {}, info: line('info'), warn: line('warn'), error: line('error') };
  }

  /** Each message from the broker takes its own time, on each connection in order. */
  #makeTheWiresTakeTime(): void {
    const random = this.around.randomFor(`${this.name} wires`);
    const latencyMs = (): number => 0.1 + random.next() * random.next() * 2;
    const { data, control } = this.faults.paths;
    data.in.latencyMs = latencyMs;
    control.in.latencyMs = latencyMs;
  }
}
