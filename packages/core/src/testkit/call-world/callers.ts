import type { PerkeyError } from '../../base/errors.ts';
import { Decoder } from '../../base/decoder.ts';
import { noMetrics } from '../../base/metrics.ts';
import { takeReplies } from '../../cluster/inbound.ts';
import { RequestMetrics } from '../../cluster/request-metrics.ts';
import { Router } from '../../cluster/router.ts';
import type { RouterOptions } from '../../cluster/router-options.ts';
import { Routes } from '../../cluster/routes.ts';
import type { CallOptions } from '../../contract/calls.ts';
import type { Mark } from './fake-host.ts';
import type { WireLink, Wires } from './wires.ts';

export interface CallRecord extends Mark {
  readonly key: string;
  readonly deadline: number;
  readonly mayRepeat: boolean;
  readonly isNotify: boolean;
  settledAt: number | undefined;
  value: unknown;
  error: PerkeyError | undefined;
}

/** Who calls in the world, and what became of each call. */
export class SimCaller {
  readonly name: string;
  readonly routes: Routes;
  readonly router: Router;
  readonly calls: CallRecord[] = [];
  readonly #wires: Wires;
  readonly #isPatient: boolean;
  readonly #decoder = new Decoder();

  constructor(wires: Wires, name: string, link: WireLink, shards: number, wantNews: () => void, local?: RouterOptions['local']) {
    this.#wires = wires;
    this.#isPatient = wires.callersArePatient;
    this.name = name;
    this.routes = new Routes({
      addressOf: (who) => link.nodeAddress(who.nodeId, who.incarnation),
      isLocal: (who) => who.incarnation === name,
      onRoute: (shard) => this.router.onRoute(shard),
      onGone: (target) => this.router.onTargetGone(target),
    });
    const settings = { requestTimeoutMs: 300, inFlightMax: 500, payloadBytesMax: 2_000, frameCountMax: 5, keyBytesMax: 64 };
    this.router = new Router({
      ...{ clock: wires.clock, link, routes: this.routes, settings, metrics: new RequestMetrics(noMetrics) },
      ...{ callerName: '', local, wantNews },
    });
    this.routes.setShards(shards);
    this.router.onShards();
  }

  takeReplies(frame: Uint8Array): void {
    takeReplies(frame, this.#decoder, this.router, this.#wires.clock.now());
  }

  /** One call with options by chance. */
  call(key: string): void {
    const { clock } = this.#wires;
    const timeoutMs = this.#isPatient ? 1_000 : 20 + Math.floor(this.#wires.upTo(400));
    const isNotify = this.#wires.chance(0.05);
    const idempotent = this.#wires.chance(0.15);
    const record: CallRecord = {
      ...{
        caller: this.name,
        n: this.calls.length + 1,
        key,
        deadline: clock.now() + timeoutMs,
        mayRepeat: idempotent && !isNotify,
        isNotify,
      },
      ...{ settledAt: undefined, value: undefined, error: undefined },
    };
    this.calls.push(record);
    const input: Mark = { caller: record.caller, n: record.n };
    if (isNotify) {
      this.router.notify('t', 'm', key, input, { timeoutMs });
      record.settledAt = clock.now();
      return;
    }
    void this.#await(
      record,
      this.router.request('t', 'm', key, input, { timeoutMs, ...(idempotent && { idempotent }), ...this.#abortable() }),
    );
  }

  #abortable(): CallOptions {
    if (this.#isPatient || !this.#wires.chance(0.1)) return {};
    const abort = new AbortController();
    if (this.#wires.chance(0.3)) queueMicrotask(() => abort.abort());
    else this.#wires.clock.setTimer(this.#wires.upTo(30), () => abort.abort());
    return { signal: abort.signal };
  }

  async #await(record: CallRecord, promise: Promise<unknown>): Promise<void> {
    try {
      record.value = await promise;
    } catch (error) {
      record.error = error as PerkeyError;
    }
    record.settledAt = this.#wires.clock.now();
  }
}
