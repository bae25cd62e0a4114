/** So many bytes are handed to the connection at once, without waiting for the end of the step. */
const flushBytes = 32_768;
const chunkBytes = 131_072;

const version = 'NATS/1.0\r\n';
const expectation = 'Nats-Expected-Last-Subject-Sequence:';
const headerEnd = '\r\n\r\n';

/**
 * Appends in the form in which they cross the wire: publishes with one header. Those of one step of the event loop leave as one run of bytes, which
 * spares the client library its work for each of them. What was handed over is never changed afterwards.
 */
export class AppendFrames {
  readonly #write: (bytes: Uint8Array) => void;
  #chunk: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  #isQueued = false;
  #isDropped = false;

  /** `write` takes whole messages of the protocol. */
  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  /** False only within the step in which something was added. */
  get isEmpty(): boolean {
    return this.#from === this.#to;
  }

  /** Subject and reply are of ASCII without spaces. */
  add(subject: string, reply: string, expectedSequence: number, body: Uint8Array): void {
    const header = `${version}${expectation}${expectedSequence}${headerEnd}`;
    const head = `HPUB ${subject} ${reply} ${header.length} ${header.length + body.length}\r\n${header}`;
    const bytes = head.length + body.length + 2;
    if (this.#to + bytes > this.#chunk.length) this.#newChunk(bytes);
    const chunk = this.#chunk;
    let at = this.#to;
    at += chunk.write(head, at, 'latin1');
    chunk.set(body, at);
    at += body.length;
    chunk[at] = 0x0d;
    chunk[at + 1] = 0x0a;
    this.#to = at + 2;
    if (this.#to - this.#from >= flushBytes) this.flush();
    else this.#flushLater();
  }

  flush(): void {
    if (this.#isDropped || this.#from === this.#to) return;
    const bytes = this.#chunk.subarray(this.#from, this.#to);
    this.#from = this.#to;
    this.#write(bytes);
  }

  /** The connection is lost: nothing leaves any more. */
  drop(): void {
    this.#isDropped = true;
  }

  #newChunk(bytes: number): void {
    this.flush();
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(bytes, chunkBytes));
    this.#from = 0;
    this.#to = 0;
  }

  #flushLater(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    queueMicrotask(() => {
      this.#isQueued = false;
      this.flush();
    });
  }
}
