import type { Timer } from '../../base/clock.ts';
import { PerkeyError } from '../../base/errors.ts';
import type { LinkEnvironment } from '../../contract/transport.ts';
import { CallbackGuard } from '../../memory/guarded-callback.ts';
import type { FaultyLink, LinkKind, ProcessFaults } from './process-faults.ts';

/** One connection of the transport underneath, from its opening to its loss. */
export interface FaultyConnection {
  readonly up: boolean;
  reset(): void;
  /** Paths changed. */
  changed(): void;
  /**
   * Tells and takes nothing from now on; closes once what was held of it is sent, and calls `gone` then. Resolves when it is closed,
   * or at once when something is held. Calls without an answer reject, unless the process `crashed`.
   */
  drop(gone: () => void, crashed: boolean): Promise<void>;
}

export interface KeeperParts<C> {
  readonly kind: LinkKind;
  readonly faults: ProcessFaults;
  readonly environment: LinkEnvironment;
  /** Opens a connection that calls `onState` for what happens to it later. */
  readonly connect: (onState: (up: boolean) => void) => Promise<C>;
  readonly onState: (up: boolean) => void;
}

type KeeperState = 'opening' | 'up' | 'down' | 'closed';

const retryMs = 100;

/** Keeps one connection for a link while its process is reachable: loses it, waits, and makes a new one. */
export class LinkKeeper<C extends FaultyConnection> implements FaultyLink {
  readonly kind: LinkKind;
  readonly guard: CallbackGuard;
  readonly #parts: KeeperParts<C>;
  readonly #lingering = new Set<C>();
  #state: KeeperState = 'opening';
  /** Rises with everything that makes an attempt to connect obsolete. */
  #attempt = 0;
  #isConnecting = false;
  #current: C | undefined;
  #becameReachable: (() => void) | undefined;

  constructor(parts: KeeperParts<C>) {
    this.kind = parts.kind;
    this.#parts = parts;
    this.guard = new CallbackGuard(parts.kind, parts.environment);
  }

  get current(): C | undefined {
    return this.#current;
  }

  get up(): boolean {
    return this.#current?.up === true;
  }

  async open(): Promise<void> {
    this.#parts.faults.join(this);
    try {
      this.#attach(await this.#firstConnection());
    } catch (error) {
      void this.#end(false);
      throw error;
    }
  }

  reset(): void {
    if (!this.up) return;
    if (this.#parts.faults.reachable(this.kind)) this.#current?.reset();
    else this.lose();
  }

  async close(): Promise<void> {
    await this.#end(false);
  }

  changed(): void {
    for (const connection of [this.#current, ...this.#lingering]) connection?.changed();
    if (!this.#parts.faults.reachable(this.kind)) return;
    this.#becameReachable?.();
    if (this.#state === 'down' && !this.#isConnecting) this.#reconnect();
  }

  lose(): void {
    const wasConnecting = this.#isConnecting;
    this.#attempt += 1;
    this.#isConnecting = false;
    // Nobody hears of the attempt that was under way any more.
    if (wasConnecting && this.#state === 'down') this.#parts.environment.clock.defer(() => this.changed());
    if (this.#state !== 'up') return;
    this.#state = 'down';
    void this.#dropCurrent(false);
    this.#parts.environment.clock.defer(() => {
      if (this.#state === 'closed') return;
      this.#tell(false);
      this.changed();
    });
  }

  crash(): void {
    void this.#end(true);
  }

  async #end(crashed: boolean): Promise<void> {
    this.#attempt += 1;
    this.#state = 'closed';
    const dropped = this.#dropCurrent(crashed);
    if (this.#lingering.size === 0) this.#parts.faults.leave(this);
    await dropped;
  }

  async #dropCurrent(crashed: boolean): Promise<void> {
    const lost = this.#current;
    this.#current = undefined;
    if (lost === undefined) return;
    this.#lingering.add(lost);
    const gone = (): void => {
      this.#lingering.delete(lost);
      if (this.#state === 'closed' && this.#lingering.size === 0) this.#parts.faults.leave(this);
    };
    await lost.drop(gone, crashed);
  }

  async #firstConnection(): Promise<C> {
    for (;;) {
      await this.#untilReachable();
      const connection = await this.#connect();
      if (this.#state === 'opening' && this.#parts.faults.reachable(this.kind)) return connection;
      void connection.drop(() => {}, false);
      if (this.#state === 'closed') throw new PerkeyError('transport.connect_timeout', 'the process crashed while it opened a link');
    }
  }

  #connect(): Promise<C> {
    let made: C | undefined;
    const connecting = this.#parts.connect((up) => {
      if (made !== undefined && made === this.#current) this.#tell(up);
    });
    return connecting.then((connection) => (made = connection));
  }

  #attach(connection: C): void {
    this.#current = connection;
    this.#state = 'up';
    this.#tell(true);
  }

  #reconnect(): void {
    const attempt = this.#attempt;
    this.#isConnecting = true;
    const settle = (run: () => void): void => {
      if (attempt !== this.#attempt) return;
      this.#isConnecting = false;
      run();
    };
    this.#connect().then(
      (connection) => {
        settle(() => this.#attach(connection));
        if (this.#current !== connection) void connection.drop(() => {}, false);
      },
      () => settle(() => this.#parts.environment.clock.setTimer(retryMs, () => this.changed())),
    );
  }

  #tell(up: boolean): void {
    this.guard.call('onState', () => this.#parts.onState(up));
  }

  async #untilReachable(): Promise<void> {
    const { faults, environment } = this.#parts;
    if (faults.reachable(this.kind)) return;
    const limitMs = environment.connectTimeoutMs;
    let timer: Timer | undefined;
    const reached = new Promise<void>((resolve, reject) => {
      this.#becameReachable = resolve;
      timer = environment.clock.setTimer(limitMs, () =>
        reject(new PerkeyError('transport.connect_timeout', `the process was cut off for ${limitMs} ms`)),
      );
    });
    try {
      await reached;
    } finally {
      timer?.cancel();
      this.#becameReachable = undefined;
    }
  }
}
