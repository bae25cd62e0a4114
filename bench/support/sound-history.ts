import { seededRandom } from '@perkey/core';
import type { Operation } from '@perkey/core/testing';

export type Kind = 'append-list' | 'counter' | 'register';

/** What is under way for a key, and the state of the key. */
interface Key {
  readonly key: string;
  value: number;
  written: string | null;
}

interface Result {
  readonly op: string;
  readonly input?: unknown;
  readonly output?: unknown;
}

const inFlight = 256;
const unknownShare = 0.02;
const refusedShare = 0.01;

/**
 * What callers of a sound system may have seen: 256 calls under way, a share of them to a twentieth of the keys; each is executed at one moment of its span, of
 * those of unknown outcome a half, some of them long after their callers gave up.
 */
export function historyOf(kind: Kind, count: number, keyCount: number, hotShare: number): Operation[] {
  const random = seededRandom(7);
  const keys = Array.from({ length: keyCount }, (_, i): Key => ({ key: `key-${i}`, value: 0, written: null }));
  const draw = (below: number): number => Math.floor(random.next() * below);
  const calls = Array.from({ length: count }, (_, i) => {
    const t0 = i / 10 + random.next();
    const t1 = t0 + (random.next() * 2 * inFlight) / 10;
    const chance = random.next();
    const outcome: Operation['outcome'] = chance < unknownShare ? 'unknown' : chance < unknownShare + refusedShare ? 'not executed' : 'ok';
    const isNever = outcome === 'not executed' || (outcome === 'unknown' && random.next() < 0.5);
    const at = isNever ? Infinity : t0 + random.next() * (outcome === 'unknown' ? 10 : 1) * (t1 - t0);
    const key = keys[random.next() < hotShare ? draw(Math.ceil(keyCount / 20)) : draw(keyCount)]!;
    return { i, t0, t1, outcome, at, key, client: `client-${i % inFlight}`, isRead: random.next() < 0.25 };
  });
  const seen = calls
    .toSorted((a, b) => a.at - b.at)
    .map(({ i, t0, t1, outcome, at, key, client, isRead }): Operation => {
      const result = at === Infinity ? askedOf(kind, i, isRead) : execute(kind, key, i, isRead);
      const { output, ...asked } = result;
      const answer = outcome === 'ok' ? { output, epoch: 1, by: `node-${(Number(key.key.slice(4)) % 256) % 5}` } : {};
      return { client, key: key.key, rid: `r${i}`, ...asked, ...answer, t0, t1, outcome };
    });
  return seen.sort((a, b) => a.t1 - b.t1);
}

function askedOf(kind: Kind, i: number, isRead: boolean): Result {
  if (isRead) return { op: 'read' };
  if (kind === 'append-list') return { op: 'append', input: `v${i}` };
  if (kind === 'counter') return { op: 'add', input: 1 + (i % 3) };
  return i % 5 === 0 ? { op: 'cas', input: { expected: `v${i - 1}`, to: `v${i}` } } : { op: 'write', input: `v${i}` };
}

function execute(kind: Kind, key: Key, i: number, isRead: boolean): Result {
  const asked = askedOf(kind, i, isRead);
  if (kind !== 'register') {
    if (!isRead) key.value += kind === 'counter' ? (asked.input as number) : 1;
    return { ...asked, output: key.value };
  }
  if (isRead) return { ...asked, output: key.written };
  if (asked.op === 'write') {
    key.written = asked.input as string;
    return asked;
  }
  const { to } = asked.input as { readonly to: string };
  const isWin = i % 2 === 0;
  const expected = isWin ? key.written : 'something else';
  if (isWin) key.written = to;
  return { op: 'cas', input: { expected, to }, output: isWin };
}
