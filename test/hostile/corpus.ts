import type { Random } from '@perkey/core';

/** Is in every input that holds free text; no line of a log may show what stands behind it. */
export const marker = 'HOSTILE-CONTENT';

/** Texts that have made trouble somewhere: subjects, control characters, other scripts, names of prototypes, lengths. */
export const texts: readonly string[] = [
  ...['', '.', 'a..b', '.a', 'a.', '*', '>', 'x.*', 'x.>', ' ', '\t', '\r\n', '\0', '\v', '\u00a0', '\u2028', '\u2029', '\u0085', '\ufeff'],
  ...['\u{1f600}', '\u00e9', 'e\u0301', '\ud800', 'a\udfff', '\u202e', '\u001b[31m', '\u001b]0;x\u0007', '\u0007', '\u007f', '\u009b31m'],
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'valueOf',
    'then',
    'null',
    'undefined',
    'NaN',
    '-0',
    '0',
    '1e999',
  ],
  ...[
    '$KV.x',
    '$JS.API.>',
    '$SRV.PING',
    '_INBOX.x',
    'PUB a 0\r\n\r\n',
    '../../etc/passwd',
    "'; --",
    '${7*7}',
    '%',
    '%00',
    '%2e%2e',
    '%c0%ae',
  ],
  ...[
    '"',
    '\\',
    '{"key":"k"}',
    '<script>',
    `${marker}\n{"level":30,"msg":"forged"}`,
    `${marker}\r\nforged`,
    `${marker}\u001b[2K`,
    `${marker}\u2028x`,
  ],
  ...['x'.repeat(512), 'x'.repeat(513), '\u00e4'.repeat(300), 'x'.repeat(10_000), 'a.'.repeat(3_000)],
];

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random.next() * list.length)] as T;
}

export function below(random: Random, end: number): number {
  return Math.floor(random.next() * end);
}

/** A text of the corpus, two of them, or anything. */
export function anyText(random: Random): string {
  const kind = random.next();
  if (kind < 0.7) return pick(random, texts);
  if (kind < 0.85) return pick(random, texts) + pick(random, texts);
  return String.fromCharCode(...Array.from({ length: below(random, 12) }, () => below(random, 0x1_0000)));
}

const atoms: readonly unknown[] = [
  ...[null, true, false, 0, -0, 1, -1, 0.5, 1e308, -1e308, Number.MAX_SAFE_INTEGER, 2 ** 53, 4_294_967_296, Number.NaN, Infinity],
];

/** Plain data of any shape; `__proto__` as an own name included, as JSON.parse makes it. */
export function anyValue(random: Random, depth = 0): unknown {
  const kind = random.next();
  if (depth > 4 || kind < 0.35) return pick(random, atoms);
  if (kind < 0.6) return anyText(random);
  if (kind < 0.75) return Array.from({ length: below(random, 5) }, () => anyValue(random, depth + 1));
  const object: Record<string, unknown> = {};
  for (let fields = below(random, 5); fields > 0; fields -= 1) {
    const value = anyValue(random, depth + 1);
    Object.defineProperty(object, anyText(random), { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
}

/** JSON that is right, nearly right, too deep, too large, or none. */
export function anyJson(random: Random): string {
  const kind = random.next();
  const whole = (): string => JSON.stringify(anyValue(random)) ?? 'null';
  if (kind < 0.5) return whole();
  if (kind < 0.6) return `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"amount":1}`;
  if (kind < 0.7) return `{"amount":${pick(random, ['1e400', '-0', '"1"', '1.5', '[]', '9007199254740993', `"${marker}"`])}}`;
  if (kind < 0.8) return whole().slice(0, below(random, 40));
  if (kind < 0.9) return anyText(random);
  if (kind < 0.998) return '['.repeat(below(random, 200)) + ']'.repeat(below(random, 200));
  return pick(random, ['['.repeat(60_000), `${'{"a":'.repeat(12_000)}1${'}'.repeat(12_000)}`, `[${'{},'.repeat(20_000)}{}]`]);
}
