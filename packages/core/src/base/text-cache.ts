const slotsFirst = 128;
const slotsMax = 1_024;
const bytesMin = 4;
/** The longest text worth remembering, in bytes. */
const bytesMax = 36;
const wordsPerSlot = bytesMax / 4;
const nothing = new Int32Array(0);

/**
 * Finds a short text by its bytes, so that one that comes again and again (a name, a key) is neither decoded nor allocated again, and so that
 * property names are already known to the engine. Bounded: a text takes the slot of the one before it. Small, so that it stays near the processor,
 * until as many texts were put out of their slots as it has slots.
 */
export class TextCache {
  /** Empty until the first text is learned: many caches are made for a process that never reads a text. */
  #texts: string[] = [];
  /** Per slot: the bytes of the text in words of four, the last word taken from its very end. */
  #words: Int32Array = nothing;
  #lastSlot = slotsFirst - 1;
  /** How many texts lost their slots since it has as many. */
  #lost = 0;

  /** The text of `bytes[from, to)`, UTF-8; `view` is over the same bytes. */
  read(bytes: Buffer, view: DataView, from: number, to: number): string {
    const length = to - from;
    if (length < bytesMin) return this.#readShort(bytes, from, to);
    if (length > bytesMax) return bytes.toString('utf8', from, to);
    const last = view.getInt32(to - 4);
    const mixed = spread(
      (Math.imul(view.getInt32(from) ^ length, 0x9e37_79b1) + Math.imul(view.getInt32(from + (length >> 1) - 2) ^ last, 0x85eb_ca6b)) | 0,
    );
    const slot = mixed & this.#lastSlot;
    const text = this.#texts[slot];
    if (text?.length === length) {
      const words = this.#words;
      let word = slot * wordsPerSlot;
      let at = from;
      for (; at < to - 4; at += 4) {
        if (view.getInt32(at) !== words[word]) break;
        word += 1;
      }
      if (at >= to - 4 && words[word] === last) return text;
    }
    return this.#learn(bytes, view, from, to, mixed);
  }

  /** A text below `bytesMin` is one word; names such as `id` and `to` are common. */
  #readShort(bytes: Buffer, from: number, to: number): string {
    const length = to - from;
    if (length === 0) return '';
    let word = 0;
    for (let at = from; at < to; at += 1) word = (word << 8) | (bytes[at] as number);
    if ((word & 0x80_8080) !== 0) return bytes.toString('utf8', from, to);
    const mixed = spread(Math.imul(word ^ length, 0x9e37_79b1));
    const slot = mixed & this.#lastSlot;
    const known = this.#texts[slot];
    if (known?.length === length && this.#words[slot * wordsPerSlot] === word) return known;
    const text = bytes.toString('utf8', from, to);
    this.#words[this.#slotFor(mixed, text) * wordsPerSlot] = word;
    return text;
  }

  /** Puts the text into its slot, and gives the number of it. */
  #slotFor(mixed: number, text: string): number {
    const isFull = this.#lost > this.#lastSlot && this.#lastSlot < slotsMax - 1;
    if (isFull) this.#lastSlot = slotsMax - 1;
    if (isFull || this.#texts.length === 0) {
      this.#texts = new Array<string>(this.#lastSlot + 1).fill('');
      this.#words = new Int32Array(this.#texts.length * wordsPerSlot);
      this.#lost = 0;
    }
    const slot = mixed & this.#lastSlot;
    if (this.#texts[slot] !== '') this.#lost += 1;
    this.#texts[slot] = text;
    return slot;
  }

  #learn(bytes: Buffer, view: DataView, from: number, to: number, mixed: number): string {
    const text = bytes.toString('utf8', from, to);
    // A text of as many characters as bytes is ASCII, or holds replacement characters for bytes that are not UTF-8.
    if (text.length !== to - from || text.includes('\ufffd')) return text;
    let word = this.#slotFor(mixed, text) * wordsPerSlot;
    for (let at = from; at < to - 4; at += 4) this.#words[word++] = view.getInt32(at);
    this.#words[word] = view.getInt32(to - 4);
    return text;
  }
}

/** So that the low bits depend on all. */
function spread(mixed: number): number {
  return mixed ^ (mixed >>> 11) ^ (mixed >>> 22);
}
