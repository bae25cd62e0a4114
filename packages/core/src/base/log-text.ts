import type { Clock } from './clock.ts';

const plain = /^[\x20-\x7e]*$/;
// Controls (C0, DEL, C1), line separators, bidirectional marks, and characters that take no room on a screen.
const hidden = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\u00ad\u200b\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/u;
const ellipsis = '\u2026';
const ellipsisBytes = 3;

/**
 * Text from outside, fit for one line of a log or an error message: at most `bytesMax` bytes of UTF-8 (at least 3), with an ellipsis where it was cut.
 * Control characters, line separators and bidirectional controls are written as escapes, lone surrogates become U+FFFD.
 * Takes time by the limit, not by the length, and runs no code of the value: an object is told by its kind only.
 */
export function safeText(value: unknown, bytesMax: number = 256): string {
  const text = typeof value === 'string' ? value : describe(value);
  if (text.length <= bytesMax && plain.test(text)) return text;
  // Each UTF-16 unit yields at least one byte, so what lies further back cannot be shown.
  const head = text.length > bytesMax + 1 ? text.slice(0, bytesMax + 1) : text;
  let whole = '';
  let bytes = 0;
  let cut = '';
  for (const char of head) {
    const shown = visible(char);
    const size = Buffer.byteLength(shown);
    if (bytes + size > bytesMax) return cut + ellipsis;
    whole += shown;
    bytes += size;
    if (bytes <= bytesMax - ellipsisBytes) cut = whole;
  }
  return whole;
}

function visible(char: string): string {
  if (plain.test(char)) return char;
  const point = char.codePointAt(0) as number;
  if (point >= 0xd800 && point <= 0xdfff) return '\ufffd';
  if (!hidden.test(char)) return char;
  if (char === '\n') return '\\n';
  if (char === '\r') return '\\r';
  if (char === '\t') return '\\t';
  return point > 0xffff ? `\\u{${point.toString(16)}}` : `\\u${point.toString(16).padStart(4, '0')}`;
}

function describe(value: unknown): string {
  if (typeof value === 'function') return '[function]';
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    if (value instanceof Error && typeof value.message === 'string') return value.message;
    if (Array.isArray(value)) return `[array of ${value.length}]`;
  } catch {
    // A revoked or hostile proxy: told as any other object.
  }
  return '[object]';
}

const minuteMs = 60_000;
const otherCauses = Symbol('causes beyond the limit');

/** A bucket of tokens: `perMinute` at once, then one each 60 s / perMinute. */
interface Allowance {
  tokens: number;
  /** Clock time up to which `tokens` was computed. */
  at: number;
  leftOut: number;
}

/**
 * Keeps one cause from filling the log. Causes are a closed set (an error code, a place in the code), never text from outside;
 * beyond `causesMax` of them at a time all further ones share one allowance, and causes idle for a minute make room with their counts.
 */
export class LogLimiter {
  readonly #clock: Clock;
  readonly #perMinute: number;
  readonly #causesMax: number;
  readonly #allowances = new Map<string | symbol, Allowance>();

  constructor(clock: Clock, perMinute: number = 10, causesMax: number = 256) {
    this.#clock = clock;
    this.#perMinute = perMinute;
    this.#causesMax = causesMax;
  }

  /** How many lines of this cause were left out since the last allowed one; `undefined`: leave out this one too. */
  allow(cause: string): number | undefined {
    const now = this.#clock.now();
    const allowance = this.#allowances.get(cause) ?? this.#admit(cause, now);
    allowance.tokens = Math.min(this.#perMinute, allowance.tokens + ((now - allowance.at) * this.#perMinute) / minuteMs);
    allowance.at = now;
    if (allowance.tokens < 1) {
      allowance.leftOut += 1;
      return undefined;
    }
    allowance.tokens -= 1;
    const { leftOut } = allowance;
    allowance.leftOut = 0;
    return leftOut;
  }

  #admit(cause: string, now: number): Allowance {
    if (this.#allowances.size >= this.#causesMax) this.#forgetIdle(now);
    const key = this.#allowances.size >= this.#causesMax ? otherCauses : cause;
    const known = this.#allowances.get(key);
    if (known !== undefined) return known;
    const allowance = { tokens: this.#perMinute, at: now, leftOut: 0 };
    this.#allowances.set(key, allowance);
    return allowance;
  }

  #forgetIdle(now: number): void {
    for (const [cause, { at }] of this.#allowances) {
      if (now - at >= minuteMs) this.#allowances.delete(cause);
    }
  }
}
