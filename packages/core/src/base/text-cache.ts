const slots = 1_024;
const bytesMin = 4;
/** The longest text worth remembering, in bytes. */
const bytesMax = 36;
const wordsPerSlot = bytesMax / 4;
const nothing = new Int32Array(0);

/**
 * Finds a short text by its bytes, so that one that comes again and again (a name, a key) is neither decoded nor allocated again, and so that
 * property names are already known to the engine. Bounded: a text takes the slot of the one before it.
 */
export class TextCache {
  /** Empty until the first text is learned: many caches are made for a process that never reads a text. */
  #texts: string[] = [];
  /** Per slot: the bytes of the text in words of four, the last word taken from its very end. */
  #words: Int32Array = nothing;

  /** The text of `bytes[from, to)`, UTF-8; `view` is over the same bytes. */
  read(bytes: Buffer, view: DataView, from: number, to: number): string {
    const length = to - from;
    if (length < bytesMin) return this.#readShort(bytes, from, to);
    if (length > bytesMax) return bytes.toString('utf8', from, to);
    const last = view.getInt32(to - 4);
    const mixed =
      (Math.imul(view.getInt32(from) ^ length, 0x9e37_79b1) + Math.imul(view.getInt32(from + (length >> 1) - 2) ^ last, 0x85eb_ca6b)) | 0;
    const slot = (mixed ^ (mixed >>> 11) ^ (mixed >>> 22)) & (slots - 1);
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
    return this.#learn(bytes, view, from, to, slot);
  }

  /** A text below `bytesMin` is one word; names such as `id` and `to` are common. */
  #readShort(bytes: Buffer, from: number, to: number): string {
    const length = to - from;
    if (length === 0) return '';
    let word = 0;
    for (let at = from; at < to; at += 1) word = (word << 8) | (bytes[at] as number);
    if ((word & 0x80_8080) !== 0) return bytes.toString('utf8', from, to);
    const mixed = Math.imul(word ^ length, 0x9e37_79b1);
    const slot = (mixed ^ (mixed >>> 11) ^ (mixed >>> 22)) & (slots - 1);
    const known = this.#texts[slot];
    if (known?.length === length && this.#words[slot * wordsPerSlot] === word) return known;
    const text = bytes.toString('utf8', from, to);
    this.#makeRoom();
    this.#words[slot * wordsPerSlot] = word;
    this.#texts[slot] = text;
    return text;
  }

  #makeRoom(): void {
    if (this.#texts.length > 0) return;
    this.#texts = new Array<string>(slots).fill('');
    this.#words = new Int32Array(slots * wordsPerSlot);
  }

  #learn(bytes: Buffer, view: DataView, from: number, to: number, slot: number): string {
    const text = bytes.toString('utf8', from, to);
    // A text of as many characters as bytes is ASCII, or holds replacement characters for bytes that are not UTF-8.
    if (text.length !== to - from || text.includes('\ufffd')) return text;
    this.#makeRoom();
    let word = slot * wordsPerSlot;
    for (let at = from; at < to - 4; at += 4) this.#words[word++] = view.getInt32(at);
    this.#words[word] = view.getInt32(to - 4);
    this.#texts[slot] = text;
    return text;
  }
}
