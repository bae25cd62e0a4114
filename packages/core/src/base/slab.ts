/** A piece of memory that regions are cut from, front to back. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** The same bytes; a `Uint8Array` copies short pieces faster than a `Buffer`. */
  readonly plain: Uint8Array;
  /** Where the next region starts. */
  used: number;
}

function newChunk(bytes: number): Chunk {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  return { bytes: buffer, view: new DataView(buffer.buffer), plain: new Uint8Array(buffer.buffer), used: 0 };
}

/** Room for nothing: what there is before the first region is cut. */
export function emptyChunk(): Chunk {
  return newChunk(0);
}

/**
 * Cuts many small buffers from few large ones. What was cut is never handed out again, so it may be kept by anybody for any time;
 * a chunk is freed when nothing cut from it is in use any more.
 */
export class Slab {
  readonly #chunkBytes: number;
  #chunk: Chunk | undefined;

  constructor(chunkBytes = 65_536) {
    this.#chunkBytes = chunkBytes;
  }

  /** The region is `[chunk.used - bytes, chunk.used)` of the chunk returned; its content is undefined. */
  cut(bytes: number): Chunk {
    let chunk = this.#chunk;
    if (bytes > this.#chunkBytes >> 1) {
      chunk = newChunk(bytes);
    } else if (chunk === undefined || chunk.used + bytes > this.#chunkBytes) {
      chunk = newChunk(this.#chunkBytes);
      this.#chunk = chunk;
    }
    chunk.used += bytes;
    return chunk;
  }

  /** Gives back `[from, end)` of a region that ends at `end`; possible only while nothing was cut behind it. */
  giveBack(chunk: Chunk, from: number, end: number): void {
    if (chunk.used === end) chunk.used = from;
  }
}
