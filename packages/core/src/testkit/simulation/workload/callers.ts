import { PerkeyError } from '../../../base/errors.ts';
import type { Random } from '../../../base/random.ts';
import type { Caller, CallOptions } from '../../../contract/calls.ts';
import type { HistoryRecorder, OpenCall } from '../../history/recorder.ts';
import { SimulatedNode } from '../simulated-node.ts';
import type { SimulatedProcess } from '../simulated-process.ts';
import type { SimulationWorld } from '../world.ts';
import type { CellInput, CellOutput } from './cells.ts';
import { durableTypes } from './durable-cells.ts';
import type { Ledger } from './ledger.ts';
import type { Marks, OperationMark } from './marks.ts';

export interface WorkloadTimes {
  /** Mean time between two operations of a caller, in ms. */
  readonly everyMs: number;
  readonly keys: number;
}

export interface CallerParts {
  readonly world: SimulationWorld;
  readonly ledger: Ledger;
  readonly marks: Marks;
  readonly recorder: HistoryRecorder;
  readonly process: SimulatedProcess;
  /** Where its calls go; `undefined` where there is nobody to call right now. */
  readonly caller: () => Caller | undefined;
  readonly name: string;
  readonly times: WorkloadTimes;
}

const types = ['counter', 'register', 'list', ...durableTypes] as const;
/** So many requests at most wait for being sent again. */
const answeredMax = 4;
/** Keys are used for so long, so that what has to be decided of one stays small. */
const generationMs = 60_000;

/** One sequential mind that asks for things, mostly one after the other, and says what it was told. */
export class WorkloadCaller {
  readonly #o: CallerParts;
  readonly #random: Random;
  readonly #known = new Map<string, unknown>();
  /** Repeats of requests that ended. */
  readonly #answered: (() => Promise<boolean>)[] = [];
  #n = 0;
  #sequences = new Map<string, number>();
  ok = 0;
  refused = 0;
  unknown = 0;

  constructor(parts: CallerParts) {
    this.#o = parts;
    this.#random = parts.world.around.randomFor(`caller ${parts.name}`);
  }

  /** Asks until the simulation is over, or `alive` says no. */
  async run(alive: () => boolean = () => true): Promise<void> {
    const { world, process, times } = this.#o;
    const random = this.#random;
    while (world.isRunning && alive()) {
      await process.sleep(-Math.log(1 - random.next()) * times.everyMs);
      if (!world.isRunning || !alive()) return;
      const dice = random.next();
      if (dice < 0.06) await this.#relay();
      else if (dice < 0.16) await this.#burst();
      else await this.#one(this.#address());
    }
  }

  /** A read that has to succeed, as the last word on a key. */
  async lastLook(type: string, key: string): Promise<void> {
    const { process, world } = this.#o;
    for (let tries = 0; tries < 20; tries += 1) {
      if (await this.#read(type, key)) return;
      await process.sleep(500);
    }
    world.fail(`I14: ${this.#o.name} cannot read ${type}/${key} after all faults are over`);
  }

  #address(): { readonly type: string; readonly key: string } {
    const { times, world } = this.#o;
    const random = this.#random;
    const generation = Math.max(0, Math.floor(world.nowMs / generationMs));
    const number = Math.floor(random.next() * random.next() * times.keys);
    return { type: types[Math.floor(random.next() * types.length)] as string, key: `${number}-${generation}` };
  }

  /** Several calls to one key without waiting: they have to be executed in this order. */
  async #burst(): Promise<void> {
    const address = this.#address();
    const count = 2 + Math.floor(this.#random.next() * 4);
    await Promise.all(Array.from({ length: count }, () => this.#one(address)));
  }

  async #relay(): Promise<void> {
    const caller = this.#o.caller();
    const path = Array.from({ length: 2 + Math.floor(this.#random.next() * 3) }, () => `relay-${Math.floor(this.#random.next() * 12)}`);
    const input = { path: path.slice(1), takesMs: Math.floor(this.#random.next() * 20) };
    try {
      await caller?.request('relay', 'pass', path[0] as string, input, { timeoutMs: 4_000 });
    } catch (error) {
      if (!(error instanceof PerkeyError)) throw error;
    }
  }

  #mark(mayRepeat: boolean, isRead = false): OperationMark {
    const { name, marks } = this.#o;
    const random = this.#random;
    this.#n += 1;
    const n = this.#n;
    const slow = random.next();
    const takesMs = slow < 0.6 ? 0 : slow < 0.93 ? 1 + Math.floor(random.next() * 30) : Math.floor(random.next() * 1_500);
    const effectFirst = random.next() < 0.5;
    const mark = { rid: `${name}#${n}`, caller: name, n, mayRepeat, takesMs: isRead ? 0 : takesMs, effectFirst };
    marks.add(mark);
    return mark;
  }

  #read(type: string, key: string): Promise<boolean> {
    const mark = this.#mark(true, true);
    return this.#ask(type, key, mark, { rid: mark.rid, op: 'read' }, { idempotent: true, timeoutMs: 2_000 });
  }

  async #one({ type, key }: { readonly type: string; readonly key: string }): Promise<void> {
    const random = this.#random;
    const again = this.#answered.length > 0 && random.next() < 0.05 ? this.#answered.shift() : undefined;
    if (again !== undefined) {
      await again();
      return;
    }
    if (random.next() < 0.3) {
      await this.#read(type, key);
      return;
    }
    const isIdempotent = random.next() < 0.3;
    const mark = this.#mark(isIdempotent);
    const input = { rid: mark.rid, ...this.#change(type, key, mark.rid) };
    const timeoutMs = Math.round(100 * 2 ** (random.next() * 6));
    const options: CallOptions = { timeoutMs, ...(isIdempotent && { idempotencyKey: mark.rid }) };
    const isKnown = await this.#ask(type, key, mark, input, options);
    const repeat = (): Promise<boolean> => this.#ask(type, key, mark, input, options);
    if (!isKnown && isIdempotent) await repeat();
    // Its reply is stored with its effect: it gets the same one again, from whoever owns the key by then.
    if (isIdempotent && durableTypes.includes(type) && random.next() < 0.5) this.#answered.push(repeat);
    if (this.#answered.length > answeredMax) this.#answered.shift();
  }

  #change(type: string, key: string, rid: string): { readonly op: string; readonly value?: unknown } {
    if (type === 'counter' || type === 'tally') return { op: 'add' };
    if (type === 'list' || type === 'journal') return { op: 'append', value: rid };
    if (this.#random.next() < 0.6) return { op: 'write', value: rid };
    return { op: 'cas', value: { expected: this.#known.get(key) ?? null, to: rid } };
  }

  /** False when nobody knows whether it was executed. */
  async #ask(type: string, key: string, mark: OperationMark, input: CellInput, options: CallOptions): Promise<boolean> {
    const { caller, ledger, world, name } = this.#o;
    const to = caller();
    if (to === undefined) return true;
    const { op, value } = input;
    // Of what is stored the store itself gives account.
    const isDurable = durableTypes.includes(type);
    const open = this.#record(type, key, mark, input);
    const own = this.#o.process instanceof SimulatedNode ? this.#o.process.incarnation : undefined;
    try {
      const answer = (await to.request(type, op === 'read' ? 'look' : 'change', key, input, options)) as CellOutput;
      const { output, life, epoch, by, version } = answer;
      this.ok += 1;
      // What a node is told of its own actors takes no time; a stored reply says who made it, whoever gives it.
      const isFresh = options.idempotencyKey === undefined;
      if (isFresh && by === own && world.oracle.judges && world.oracle.isGone(by))
        world.fail(`${by} answers its own caller though it is marked gone`);
      if (!isDurable) ledger.confirmed(mark);
      if (type === 'register') this.#known.set(key, op === 'read' ? output : value);
      if (op === 'read') open.ok({ output, life, epoch, by });
      else if (isDurable) open.ok({ output: output ?? undefined, life, epoch, by, version });
      else open.ok({ output: output ?? undefined, life, epoch, by });
      world.around.trace.silent(world.nowMs, name, `${mark.rid} ok ${life} ${answer.version}`);
      return true;
    } catch (error) {
      if (!(error instanceof PerkeyError)) throw error;
      open.failed(error);
      world.around.trace.silent(world.nowMs, name, `${mark.rid} ${error.code} ${error.executed}`);
      if (error.executed !== 'no') {
        this.unknown += 1;
        return false;
      }
      this.refused += 1;
      // A repeat of what may have been executed before tells nothing of that.
      if (!mark.mayRepeat && !isDurable) ledger.denied(mark, error.code);
      return true;
    }
  }

  #record(type: string, key: string, mark: OperationMark, { op, value }: CellInput): OpenCall {
    const { recorder, name } = this.#o;
    const address = `${type}/${key}`;
    const seq = (this.#sequences.get(address) ?? 0) + 1;
    this.#sequences.set(address, seq);
    return recorder.invoke({
      ...{ client: name, key: address, op, rid: mark.rid },
      ...(value !== undefined && { input: value }),
      ...(!mark.mayRepeat && { seq }),
    });
  }
}
