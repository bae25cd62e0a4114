import { HoldProxy } from '../../support/hold-proxy.ts';

/** Seen from the node: what it hears, what it says, or both. */
export type Way = 'toNode' | 'toServer' | 'both';

/** What a link may be slowed by. Namespaces know a rate and a loss, a proxy knows a delay. */
export interface Slowness {
  readonly kbit?: number;
  readonly lossPercent?: number;
  readonly delayMs?: number;
}

/** How one process reaches the servers, and what can be done to that way. */
export interface Reach extends AsyncDisposable {
  readonly how: 'namespaces' | 'proxy';
  /** Addresses of the servers as this process must dial them. */
  readonly servers: readonly string[];
  /** Stands before the command of the process. */
  readonly prefix: readonly string[];
  /** A black hole: nothing arrives, and nobody is told. What the senders keep is sent again after `heal`. */
  cut(way: Way): Promise<void>;
  /** Ends every fault of this link. */
  heal(): Promise<void>;
  slow(slowness: Slowness): Promise<void>;
  /** Packets that were dropped since the last `heal`; 0 where bytes are only held. */
  dropped(): Promise<number>;
}

/** A holding proxy before each server. */
export class ProxyReach implements Reach {
  readonly how = 'proxy';
  readonly prefix: readonly string[] = [];
  readonly proxies: readonly HoldProxy[];

  private constructor(proxies: readonly HoldProxy[]) {
    this.proxies = proxies;
  }

  static async open(servers: readonly string[]): Promise<ProxyReach> {
    return new ProxyReach(await Promise.all(servers.map((server) => HoldProxy.start(server))));
  }

  get servers(): readonly string[] {
    return this.proxies.map(({ url }) => url);
  }

  cut(way: Way): Promise<void> {
    for (const proxy of this.proxies) proxy.hold(way === 'toNode' ? 'toClient' : way);
    return Promise.resolve();
  }

  heal(): Promise<void> {
    for (const proxy of this.proxies) {
      proxy.refuse(false);
      proxy.delay(0);
      proxy.release();
    }
    return Promise.resolve();
  }

  slow({ delayMs = 0, kbit, lossPercent }: Slowness): Promise<void> {
    if (kbit !== undefined || lossPercent !== undefined) throw new Error('a proxy can only delay');
    for (const proxy of this.proxies) proxy.delay(delayMs);
    return Promise.resolve();
  }

  dropped(): Promise<number> {
    return Promise.resolve(0);
  }

  /** Resets every connection; with `refusing`, also those that come until `heal`. */
  reset(refusing: boolean = false): void {
    for (const proxy of this.proxies) {
      proxy.refuse(refusing);
      proxy.cut();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
  }
}
