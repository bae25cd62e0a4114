import type { Socket } from 'node:net';

export interface LaneOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly held: boolean;
  readonly delayMs: number;
  /** Called whenever more bytes are kept back than before. */
  readonly onHeld: () => void;
}

/** Bytes on their way, or the end behind them: `end` of what the sender says, `gone` when it also listens no more. */
interface Parcel {
  readonly content: Buffer | 'end' | 'gone';
  readonly dueAt: number;
}

/** One direction of one proxied connection: reads all that comes, at once, and delivers it in order when it may. */
export class Lane {
  readonly #to: Socket;
  readonly #onHeld: () => void;
  readonly #queue: Parcel[] = [];
  #held: boolean;
  #delayMs: number;
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LaneOptions) {
    this.#to = options.to;
    this.#onHeld = options.onHeld;
    this.#held = options.held;
    this.#delayMs = options.delayMs;
    let failed = false;
    options.from.on('data', (chunk: Buffer) => this.#take(chunk));
    options.from.on('end', () => this.#take('end'));
    options.from.on('error', () => {
      failed = true;
    });
    options.from.on('close', () => this.#take(failed ? 'gone' : 'end'));
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  setHeld(held: boolean): void {
    this.#held = held;
    this.#deliver();
  }

  /** For what comes from now on. */
  setDelay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Loses what is kept back. */
  discard(): void {
    this.#queue.length = 0;
    this.#heldBytes = 0;
    clearTimeout(this.#timer);
  }

  #take(content: Parcel['content']): void {
    const earliest = this.#queue.at(-1)?.dueAt ?? 0;
    this.#queue.push({ content, dueAt: Math.max(earliest, performance.now() + this.#delayMs) });
    if (content instanceof Buffer) this.#heldBytes += content.length;
    this.#deliver();
    if (this.#heldBytes > 0) this.#onHeld();
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    while (!this.#held) {
      const parcel = this.#queue[0];
      if (parcel === undefined) return;
      const waitMs = parcel.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#deliver(), Math.ceil(waitMs));
        return;
      }
      this.#queue.shift();
      this.#hand(parcel.content);
    }
  }

  /** A receiver that has gone loses what comes for it, as it would without a proxy. */
  #hand(content: Parcel['content']): void {
    if (content instanceof Buffer) {
      this.#heldBytes -= content.length;
      if (this.#to.writable) this.#to.write(content);
    } else if (content === 'end') {
      this.#to.end();
    } else {
      this.#to.destroySoon();
    }
  }
}
