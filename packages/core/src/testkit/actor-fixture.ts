import { ActorHost } from '../actor/actor-host.ts';
import type { ActorHostOptions } from '../actor/actor-host.ts';
import type { ActorDefinition } from '../actor/definition.ts';
import { actorOptions } from '../actor/settings.ts';
import type { ActorSettings } from '../actor/settings.ts';
import type { PerkeyError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { MetricsRegistry } from '../base/metrics-registry.ts';
import { resolveOptions } from '../base/options.ts';
import { seededRandom } from '../base/random.ts';
import { noChain, noHeaders } from '../contract/calls.ts';
import type { CallOptions, Caller, InboundRequest, ReplyPort } from '../contract/calls.ts';
import { VirtualClock } from './virtual-clock.ts';

/** What became of one request. */
export interface Asked {
  /** `ok`, an error code, or `waiting`. */
  readonly outcome: string;
  readonly value: unknown;
  readonly error: PerkeyError | undefined;
}

export interface FixtureOptions {
  readonly settings?: Partial<ActorSettings>;
  readonly middleware?: ActorHostOptions['middleware'];
  readonly authorize?: ActorHostOptions['authorize'];
  readonly clock?: VirtualClock;
  /** Of shard 0; default 7. */
  readonly epoch?: number;
  readonly durability?: (fixture: ActorFixture) => ActorHostOptions['durability'];
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** One actor host with virtual time, whose shard 0 is open with epoch 7; calls of its actors come back to it. */
export class ActorFixture implements Caller {
  readonly clock: VirtualClock;
  readonly metrics: MetricsRegistry = new MetricsRegistry();
  readonly lines: LogLine[] = [];
  readonly log: Logger;
  readonly host: ActorHost;
  /** The lease. */
  mayAct = true;
  /** When it ends, by the reading of the clock that the host asks with. */
  leaseUntil: number = Infinity;
  /** The options of each call that an actor made. */
  readonly calls: (CallOptions | undefined)[] = [];
  #nextId = 0;

  constructor(definitions: readonly ActorDefinition[], options: FixtureOptions = {}) {
    this.clock = options.clock ?? new VirtualClock();
    this.log = this.#logger({});
    this.host = new ActorHost({
      nodeId: 'node-a',
      definitions,
      settings: resolveOptions(actorOptions, options.settings ?? {}),
      middleware: options.middleware ?? [],
      authorize: options.authorize,
      guard: { mayAct: (now) => this.mayAct && now < this.leaseUntil },
      caller: () => this,
      clock: this.clock,
      random: seededRandom(1),
      log: this.log,
      metrics: this.metrics,
      durability: options.durability?.(this),
    });
    this.host.openShard(0, options.epoch ?? 7, []);
  }

  /** Admits a request and tells what becomes of it. */
  ask(type: string, key: string, method: string, input?: unknown, more: Partial<InboundRequest> = {}): Asked {
    return this.askShard(0, type, key, method, input, more);
  }

  /** As another turn does that leaves with its shard. */
  askAwaited(type: string, key: string, method: string, more: Partial<InboundRequest> = {}): Asked {
    const asked = new Asking();
    this.#admit(0, type, key, method, undefined, { reply: asked.port, chain: ['actor/elsewhere'], ...more }, true);
    return asked;
  }

  askShard(shard: number, type: string, key: string, method: string, input?: unknown, more: Partial<InboundRequest> = {}): Asked {
    const asked = new Asking();
    this.#admit(shard, type, key, method, input, { reply: asked.port, ...more });
    return asked;
  }

  request(type: string, method: string, key: string, input: unknown, options?: CallOptions): Promise<unknown> {
    this.calls.push(options);
    return new Promise((resolve, reject) => {
      const reply: ReplyPort = { ok: (_id, value) => resolve(value), error: (_id, error) => reject(error) };
      this.#admit(0, type, key, method, input, { reply, ...carried(options) });
    });
  }

  notify(type: string, method: string, key: string, input: unknown, options?: CallOptions): void {
    this.calls.push(options);
    const reply: ReplyPort = { ok: () => {}, error: () => {} };
    this.#admit(0, type, key, method, input, { reply, ...carried(options) });
  }

  /** The value of one series; labels by name, as `a=1,b=2` in order of their names. */
  metric(name: string, labels: string = ''): number | undefined {
    const family = this.metrics.snapshot().find((one) => one.name === name);
    const text = (one: { readonly labels: Readonly<Record<string, string>> }): string =>
      Object.entries(one.labels)
        .map((pair) => pair.join('='))
        .sort()
        .join();
    const series = family?.series.find((one) => text(one) === labels);
    return series !== undefined && 'value' in series ? series.value : undefined;
  }

  #admit(
    shard: number,
    type: string,
    key: string,
    method: string,
    input: unknown,
    more: Partial<InboundRequest> & Pick<InboundRequest, 'reply'>,
    isAwaited: boolean = false,
  ): void {
    this.#nextId += 1;
    const deadline = this.clock.now() + 5_000;
    const base = { id: this.#nextId, headers: noHeaders, chain: noChain, idempotencyKey: undefined, caller: 'client-1', deadline };
    this.host.admit(shard, { ...base, type, key, method, input, ...more }, isAwaited);
  }

  #logger(bound: Readonly<Record<string, unknown>>): Logger {
    const at = (level: LogLine['level']) => (fields: object, message: string) => {
      this.lines.push({ level, fields: { ...bound, ...fields }, message });
    };
    const child = (fields: Record<string, unknown>): Logger => this.#logger({ ...bound, ...fields });
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child };
  }
}

class Asking implements Asked {
  outcome = 'waiting';
  value: unknown = undefined;
  error: PerkeyError | undefined = undefined;
  readonly port: ReplyPort = {
    ok: (_id, value) => {
      this.#once('ok');
      this.value = value;
    },
    error: (_id, error) => {
      this.#once(error.code);
      this.error = error;
    },
  };

  #once(outcome: string): void {
    if (this.outcome !== 'waiting') throw new Error(`a request was answered twice: ${this.outcome}, then ${outcome}`);
    this.outcome = outcome;
  }
}

function carried(options: CallOptions | undefined): Partial<InboundRequest> {
  if (options === undefined) return {};
  const { deadline, chain, headers, idempotencyKey } = options;
  return {
    idempotencyKey,
    ...(deadline === undefined ? {} : { deadline }),
    ...(chain === undefined ? {} : { chain }),
    ...(headers === undefined ? {} : { headers }),
  };
}
