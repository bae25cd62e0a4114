import type { Activation } from '../actor/activation.ts';
import { decode, encode } from '../base/codec.ts';
import type { Clock } from '../base/clock.ts';
import { LogLimiter, safeText } from '../base/log-text.ts';
import type { Logger } from '../base/log.ts';
import type { SnapshotStore } from '../contract/store.ts';
import { commitLimits, type StreamHead } from '../events/commit.ts';
import { Books, type BooksLimits } from './books.ts';
import type { DurableMetrics } from './durable-metrics.ts';
import type { Folding, HeldActor } from './held-actor.ts';

const form = 1;

export interface SnapshotsOptions {
  readonly store: SnapshotStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: DurableMetrics;
  readonly limits: BooksLimits;
  readonly stateVersion: number;
  /** 0: never. */
  readonly every: number;
  readonly kept: number;
}

/** Saves and restores the states of aggregates beside their histories, which stay the truth: nothing depends on a snapshot. */
export class Snapshots {
  readonly #o: SnapshotsOptions;
  readonly #limiter: LogLimiter;

  constructor(options: SnapshotsOptions) {
    this.#o = options;
    this.#limiter = new LogLimiter(options.clock);
  }

  /** Saves one if it is time for it, later and beside the turns. */
  consider(activation: Activation, held: HeldActor): void {
    const { every, clock } = this.#o;
    if (every === 0 || held.sinceSnapshot < every || held.isSaving) return;
    held.isSaving = true;
    clock.defer(() => void this.#save(activation, held));
  }

  /** Never rejects. */
  async #save(activation: Activation, held: HeldActor): Promise<void> {
    const { store, metrics, kept, stateVersion } = this.#o;
    const { sequence, version, epoch, owner, hash } = held.head;
    try {
      if (held.stale || !activation.hasState) return;
      // Also for one that fails: it is tried again after as many events.
      held.sinceSnapshot = 0;
      const body = encode([form, stateVersion, [sequence, version, epoch, owner, hash], held.books.pack(), activation.state], commitLimits);
      if (body.length > store.bodyBytesMax) {
        metrics.snapshot('too_large');
        this.#warn(held, { bytes: body.length, bytesMax: store.bodyBytesMax }, 'a snapshot is too large for the store');
        return;
      }
      await store.save(held.subject.stream, { sequence, body }, kept);
      metrics.snapshot('saved');
    } catch (err) {
      metrics.snapshot('failed');
      this.#warn(held, { err }, 'a snapshot could not be saved; its history will be replayed instead');
    } finally {
      held.isSaving = false;
    }
  }

  /** Puts the newest usable one into `folding`. False: there is none. */
  async restore(folding: Folding): Promise<boolean> {
    const { store, metrics } = this.#o;
    const { held } = folding;
    try {
      for (const { sequence, body } of await store.load(held.subject.stream)) {
        if (this.#take(folding, sequence, body)) {
          metrics.snapshot('used');
          return true;
        }
        metrics.snapshot('unreadable');
      }
    } catch (err) {
      this.#warn(held, { err }, 'the snapshots could not be read; the history is replayed instead');
    }
    return false;
  }

  #take(folding: Folding, sequence: number, body: Uint8Array): boolean {
    const { limits, stateVersion } = this.#o;
    const { held } = folding;
    try {
      const parts = decode(body, 0, body.length, commitLimits);
      if (!Array.isArray(parts) || parts.length !== 5 || parts[0] !== form) throw new TypeError('it has another form');
      const [, version, headParts, books, state] = parts as [number, number, unknown[], unknown, unknown];
      if (version !== stateVersion) throw new TypeError(`it is of state version ${safeText(version)}, this definition has ${stateVersion}`);
      const head = headOfParts(headParts);
      if (head.sequence !== sequence) throw new TypeError('it is of another record');
      held.books = Books.unpack(books, limits);
      held.head = head;
      folding.state = state;
      folding.version = head.version;
      folding.epoch = head.epoch;
      return true;
    } catch (err) {
      this.#warn(held, { err, sequence }, 'a snapshot cannot be used; an older one or the history is read instead');
      return false;
    }
  }

  #warn({ subject }: HeldActor, fields: object, message: string): void {
    const { type, key } = subject.stream;
    const leftOut = this.#limiter.allow(message);
    if (leftOut !== undefined) this.#o.log.warn({ type, key: safeText(key), ...fields, ...(leftOut > 0 && { leftOut }) }, message);
  }
}

function headOfParts(parts: readonly unknown[]): StreamHead {
  const [sequence, version, epoch, owner, hash] = parts;
  const isWhole = [sequence, version, epoch].every((value) => Number.isSafeInteger(value) && (value as number) >= 0);
  if (!isWhole || typeof owner !== 'string' || typeof hash !== 'string') throw new TypeError('its head has another form');
  return { sequence, version, epoch, owner, hash, ended: false } as StreamHead;
}
