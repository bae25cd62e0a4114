import crypto from 'node:crypto';
import dns from 'node:dns';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { systemClock, systemRandom } from '@perkey/core';

type Methods = Record<string, unknown>;

/** Everything that would let the real world in. */
const doors: readonly (readonly [owner: object, names: readonly string[]])[] = [
  [Date, ['now']],
  [performance, ['now']],
  [process, ['hrtime', 'uptime']],
  [Math, ['random']],
  [globalThis, ['setTimeout', 'setInterval', 'setImmediate', 'fetch']],
  [Object.getPrototypeOf(globalThis.crypto) as object, ['getRandomValues', 'randomUUID']],
  [crypto, ['randomBytes', 'randomUUID', 'randomInt', 'randomFillSync']],
  [fs, ['readFileSync', 'readFile', 'writeFileSync', 'writeFile', 'openSync', 'open', 'existsSync']],
  [net, ['connect', 'createConnection', 'createServer']],
  [dns, ['lookup', 'resolve']],
  [systemClock, ['now', 'wall', 'setTimer', 'defer']],
  [systemRandom, ['next', 'hex']],
];

/** Whoever reads real time, draws real chance or does I/O while the trap is set gets an error, and is noted. `open` ends it. */
export class RealityTrap {
  readonly caught: string[] = [];
  readonly #undo: (() => void)[] = [];

  constructor() {
    for (const [owner, names] of doors) for (const name of names) this.#close(owner as Methods, name);
    const RealDate = Date;
    const caught = (what: string): never => this.#catch(what);
    // A date that is told what it is may be made; one that asks for the time may not.
    const TrappedDate = new Proxy(RealDate, {
      construct: (target, args: unknown[]) => (args.length === 0 ? caught('new Date()') : (Reflect.construct(target, args) as object)),
      apply: () => caught('Date()'),
    });
    globalThis.Date = TrappedDate;
    this.#undo.push(() => (globalThis.Date = RealDate));
    syncBuiltinESMExports();
  }

  open(): void {
    for (const undo of this.#undo.splice(0).toReversed()) undo();
    syncBuiltinESMExports();
  }

  #close(owner: Methods, name: string): void {
    const original = Object.getOwnPropertyDescriptor(owner, name);
    const inherited = owner[name];
    const value = (): never => this.#catch(name);
    Object.defineProperty(owner, name, { value, configurable: true, writable: true });
    this.#undo.push(() => {
      if (original) Object.defineProperty(owner, name, original);
      else {
        delete owner[name];
        if (owner[name] === undefined) owner[name] = inherited;
      }
    });
  }

  #catch(what: string): never {
    this.caught.push(what);
    throw new Error(`${what} was used inside a simulated world`);
  }
}
