import type { Clock } from '../base/clock.ts';
import { PerkeyError } from '../base/errors.ts';

/** The side of a session that belongs to a link. Never throws. */
export interface SessionOwner {
  /** The connection stands: subscribe. Before `open` resolves for the first one. */
  attached(): void;
  /** The connection is gone, at once: unsubscribe, forget what arrived and was not delivered. */
  detached(): void;
  /** One turn of the event loop after `detached`. */
  noticedDown(): void;
}

/** Whether there is a broker to connect to, and who is connected. */
export class MemoryBroker {
  #running = true;
  readonly #sessions = new Set<MemorySession>();

  get running(): boolean {
    return this.#running;
  }

  enter(session: MemorySession): void {
    this.#sessions.add(session);
  }

  leave(session: MemorySession): void {
    this.#sessions.delete(session);
  }

  stop(): void {
    this.#running = false;
    for (const session of this.#sessions) session.reset();
  }

  start(): void {
    this.#running = true;
    for (const session of this.#sessions) session.brokerStarted();
  }
}

type SessionState = 'new' | 'dialing' | 'up' | 'lost' | 'waiting' | 'closed';

/**
 * One connection to the broker, which redials by itself. Everything that the process would notice happens on its own clock:
 * a frozen process stays connected, and notices and redials when it goes on.
 */
export class MemorySession {
  readonly #broker: MemoryBroker;
  readonly #clock: Clock;
  readonly #owner: SessionOwner;
  #state: SessionState = 'new';
  #opened: (() => void) | undefined;
  #connection = 0;

  constructor(broker: MemoryBroker, clock: Clock, owner: SessionOwner) {
    this.#broker = broker;
    this.#clock = clock;
    this.#owner = owner;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** Rises with each connection, so that what began on one is not ended on another. */
  get connection(): number {
    return this.#connection;
  }

  open(connectTimeoutMs: number): Promise<void> {
    this.#broker.enter(this);
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(connectTimeoutMs, () => {
        this.close();
        reject(new PerkeyError('transport.connect_timeout', `the in-process broker did not start within ${connectTimeoutMs} ms`));
      });
      this.#opened = () => {
        timer.cancel();
        resolve();
      };
      this.#dial();
    });
  }

  reset(): void {
    if (this.#state !== 'up') return;
    this.#state = 'lost';
    this.#connection += 1;
    this.#owner.detached();
    this.#clock.defer(() => {
      if (this.#state !== 'lost') return;
      this.#owner.noticedDown();
      if (this.#state === 'lost') this.#dial();
    });
  }

  brokerStarted(): void {
    if (this.#state === 'waiting') this.#dial();
  }

  close(): void {
    if (this.#state === 'closed') return;
    const wasUp = this.#state === 'up';
    this.#state = 'closed';
    this.#connection += 1;
    this.#broker.leave(this);
    if (wasUp) this.#owner.detached();
  }

  #dial(): void {
    this.#state = 'dialing';
    this.#clock.defer(() => {
      if (this.#state !== 'dialing') return;
      if (!this.#broker.running) {
        this.#state = 'waiting';
        return;
      }
      this.#state = 'up';
      const opened = this.#opened;
      this.#opened = undefined;
      this.#owner.attached();
      opened?.();
    });
  }
}
