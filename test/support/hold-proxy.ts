import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Lane } from './proxy-lane.ts';

export type Direction = 'toServer' | 'toClient';
export type Directions = Direction | 'both';

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly toServer: Lane;
  readonly toClient: Lane;
}

/**
 * A TCP proxy on 127.0.0.1 in front of one server, for faults of the network. What is held is accepted and kept, however much it is, and
 * also when its sender has gone meanwhile: it is delivered by `release`. Only `cut` and `stop` lose bytes.
 */
export class HoldProxy implements AsyncDisposable {
  readonly #listener: Server;
  readonly #target: { host: string; port: number };
  readonly #links = new Set<Link>();
  readonly #held: Record<Direction, boolean> = { toServer: false, toClient: false };
  readonly #delayMs: Record<Direction, number> = { toServer: 0, toClient: 0 };
  readonly #waiting = new Set<() => void>();
  #refusing = false;

  private constructor(listener: Server, target: { host: string; port: number }) {
    this.#listener = listener;
    this.#target = target;
    listener.on('connection', (client) => this.#accept(client));
  }

  /** `target` is the URL of the server, such as `nats://127.0.0.1:4222`; it is dialed anew for each connection. */
  static async start(target: string): Promise<HoldProxy> {
    const { hostname, port } = new URL(target);
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    const proxy = new HoldProxy(listener, { host: hostname, port: Number(port) });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** The address for clients, in place of the server's. */
  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Connections of which at least one side is still open. */
  get connections(): number {
    return this.#links.size;
  }

  /** Bytes that are kept back now, by a hold or a delay, over all connections. */
  held(direction: Direction): number {
    let bytes = 0;
    for (const link of this.#links) bytes += link[direction].heldBytes;
    return bytes;
  }

  /** Resolves as soon as at least `bytes` are kept back in this direction. */
  async whenHeld(direction: Direction, bytes: number): Promise<void> {
    while (this.held(direction) < bytes) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /**
   * From now on delivers nothing in this direction, to connections that are there and to those that come; the ends of connections are
   * kept back too. Both directions are a black hole: connections are accepted, and nothing ever comes back.
   */
  hold(directions: Directions = 'both'): void {
    this.#set(directions, true);
  }

  /** Delivers what was held, in its order, and holds nothing more. */
  release(directions: Directions = 'both'): void {
    this.#set(directions, false);
  }

  /** Delivers every byte this much later than it came; 0 ends that for the bytes that come. Order is kept. */
  delay(delayMs: number, directions: Directions = 'both'): void {
    for (const direction of each(directions)) {
      this.#delayMs[direction] = delayMs;
      for (const link of this.#links) link[direction].setDelay(delayMs);
    }
  }

  /**
   * Resets every connection (RST). `both` loses what was held. `client` resets the clients' side only: what they sent before and is held
   * is still delivered by `release`, as if it had been on its way.
   */
  cut(side: 'both' | 'client' = 'both'): void {
    for (const link of [...this.#links]) {
      link.client.resetAndDestroy();
      if (side === 'client') continue;
      link.toServer.discard();
      link.toClient.discard();
      link.server.resetAndDestroy();
    }
  }

  /** Whether connections that come are reset at once. Those that are there stay. */
  refuse(refusing: boolean): void {
    this.#refusing = refusing;
  }

  /** Resets all connections and accepts none any more. */
  async stop(): Promise<void> {
    if (!this.#listener.listening) return;
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.cut();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #set(directions: Directions, held: boolean): void {
    for (const direction of each(directions)) {
      this.#held[direction] = held;
      for (const link of this.#links) link[direction].setHeld(held);
    }
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const lane = (direction: Direction, from: Socket, to: Socket): Lane =>
      new Lane({ from, to, held: this.#held[direction], delayMs: this.#delayMs[direction], onHeld: () => this.#wake() });
    const link: Link = { client, server, toServer: lane('toServer', client, server), toClient: lane('toClient', server, client) };
    this.#links.add(link);
    const forget = (): void => {
      if (client.destroyed && server.destroyed) this.#links.delete(link);
    };
    client.on('close', forget);
    server.on('close', forget);
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

function each(directions: Directions): readonly Direction[] {
  return directions === 'both' ? ['toServer', 'toClient'] : [directions];
}
