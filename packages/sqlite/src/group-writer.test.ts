import type { AppendOutcome } from '@perkey/core';
import { VirtualClock } from '@perkey/core/testing';
import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { type Group, type GroupAnswer, unpackAppends } from './group.ts';
import { GroupWriter } from './group-writer.ts';

/** A writing thread that answers when it is told to. */
class FakeThread extends EventEmitter {
  readonly groups: Group[] = [];

  postMessage(message: Group | 'end'): void {
    if (message === 'end') this.emit('exit');
    else this.groups.push(message);
  }

  /** `seconds`: of the whole group, and of its force to the disk. */
  answer(appends: GroupAnswer['appends'], edits: GroupAnswer['edits'] = [], [seconds, commitSeconds] = [0.01, 0.01]): void {
    this.emit('message', { appends, edits, transactions: 1, seconds, commitSeconds } satisfies GroupAnswer);
  }

  /** Every append of a group is stored. */
  store(count: number, seconds?: [number, number]): void {
    this.answer(
      Array.from({ length: count }, (_, i) => i + 1),
      [],
      seconds,
    );
  }
}

function world(): {
  thread: FakeThread;
  clock: VirtualClock;
  writer: GroupWriter;
  gone: string[];
  append: (key: string) => Promise<AppendOutcome>;
} {
  const [thread, clock, gone] = [new FakeThread(), new VirtualClock(), [] as string[]];
  const events = { onAppended: () => {}, onGroup: () => {}, onGone: (text: string) => void gone.push(text) };
  const writer = new GroupWriter(thread, { clock, waitingBytesMax: 1_000_000, events });
  const append = (key: string): Promise<AppendOutcome> => {
    const one = { stream: { type: 'Account', key }, shard: 1, expectedSequence: 0, epoch: 1, body: Buffer.from(`of ${key}`) };
    return new Promise((resolve) => writer.send('events', one, { onOutcome: resolve }));
  };
  return { thread, clock, writer, gone, append };
}

const keysOf = (group: Group): readonly string[] => unpackAppends(group.appends).map(({ name, typeLength }) => name.slice(typeLength));

describe('the writer of groups', () => {
  test('one turn makes one group, and what comes while the thread is busy makes the next', async () => {
    const { thread, clock, append } = world();
    const first = [append('a'), append('b')];
    expect(thread.groups).toHaveLength(0);
    await clock.advance(0);
    expect(thread.groups.map(keysOf)).toEqual([['a', 'b']]);
    expect(Buffer.from(thread.groups[0]?.appends.bodies ?? []).toString()).toBe('of aof b');
    const second = [append('c'), append('d'), append('e')];
    await clock.advance(10);
    expect(thread.groups).toHaveLength(1);
    thread.answer([1, 0]);
    await clock.advance(0);
    expect(thread.groups.map(keysOf)).toEqual([
      ['a', 'b'],
      ['c', 'd', 'e'],
    ]);
    expect(await Promise.all(first)).toEqual([{ kind: 'appended', sequence: 1 }, { kind: 'conflict' }]);
    thread.answer([2, { reason: 'full', text: 'full', certain: true }, { reason: 'input_output', text: 'disk', certain: false }]);
    expect(await Promise.all(second)).toEqual([
      { kind: 'appended', sequence: 2 },
      { kind: 'refused', reason: 'full', text: 'full' },
      { kind: 'unknown', text: 'disk' },
    ]);
  });

  test('where the authors take longer than the disk, large groups go at once, and the thread has the next one while it writes one', async () => {
    const { thread, clock, append } = world();
    const many = (count: number): unknown[] => Array.from({ length: count }, (_, i) => append(`k${i}`));
    const sizes = (): readonly number[] => thread.groups.map((group) => keysOf(group).length);
    many(100);
    await clock.advance(0);
    thread.store(100, [0.001, 0.0002]);
    await clock.advance(4);
    many(100);
    await clock.advance(0);
    thread.store(100, [0.001, 0.0002]);
    many(300);
    expect(sizes()).toEqual([100, 100, 64, 64]);
    await clock.advance(10);
    expect(sizes()).toHaveLength(4);
    thread.store(64, [0.001, 0.0002]);
    expect(sizes()).toEqual([100, 100, 64, 64, 172]);
    many(10);
    thread.store(64, [0.001, 0.0002]);
    expect(sizes()).toHaveLength(5);
    thread.store(172, [0.003, 0.0002]);
    expect(sizes()).toEqual([100, 100, 64, 64, 172, 10]);
  });

  test('where a force takes longer than the authors of all, all that wait share one', async () => {
    const { thread, clock, append } = world();
    const many = (count: number): unknown[] => Array.from({ length: count }, (_, i) => append(`k${i}`));
    many(100);
    await clock.advance(0);
    thread.store(100, [0.011, 0.01]);
    await clock.advance(4);
    many(100);
    await clock.advance(0);
    thread.store(100, [0.011, 0.01]);
    many(64);
    expect(thread.groups).toHaveLength(2);
    await clock.advance(0);
    expect(thread.groups.map((group) => keysOf(group).length)).toEqual([100, 100, 64]);
    many(20);
    thread.store(64, [0.011, 0.01]);
    many(64);
    expect(thread.groups).toHaveLength(3);
    await clock.advance(0);
    expect(thread.groups.map((group) => keysOf(group).length)).toEqual([100, 100, 64, 84]);
  });

  test('what waits is written before the store closes', async () => {
    const { thread, clock, writer, append } = world();
    const first = append('a');
    await clock.advance(0);
    const second = append('b');
    const closed = writer.close();
    thread.answer([1]);
    expect(await first).toEqual({ kind: 'appended', sequence: 1 });
    await clock.advance(0);
    expect(thread.groups.map(keysOf)).toEqual([['a'], ['b']]);
    thread.answer([2]);
    expect(await second).toEqual({ kind: 'appended', sequence: 2 });
    await closed;
  });

  test('a thread that dies leaves what it had unknown, what it had not refused, and takes nothing more', async () => {
    const { thread, clock, writer, gone, append } = world();
    const had = append('a');
    const edited = writer.edit({ kind: 'forgetRecord', key: 'a', upToRevision: 1 }).catch((error: unknown) => error);
    await clock.advance(0);
    const waiting = append('b');
    const waitingEdit = writer.edit({ kind: 'forgetRecord', key: 'b', upToRevision: 1 }).catch((error: unknown) => error);
    thread.emit('error', new Error('out of memory'));
    thread.emit('exit');
    expect(await had).toMatchObject({ kind: 'unknown', text: expect.stringMatching(/out of memory/) });
    expect(await waiting).toMatchObject({ kind: 'refused', reason: 'unavailable' });
    expect(await edited).toMatchObject({ code: 'store.unavailable', executed: 'unknown' });
    expect(await waitingEdit).toMatchObject({ code: 'store.unavailable', executed: 'no' });
    expect(await append('c')).toMatchObject({ kind: 'refused', reason: 'unavailable' });
    expect(gone).toHaveLength(1);
    expect(writer.waitingBytes).toBe(0);
    await writer.close();
  });

  test('a thread that dies while the store closes does not hold the closing up', async () => {
    const { thread, clock, writer, append } = world();
    const had = append('a');
    await clock.advance(0);
    const closed = writer.close();
    expect(await append('late')).toEqual({ kind: 'refused', reason: 'unavailable', text: 'the store was closed' });
    thread.emit('exit');
    expect((await had).kind).toBe('unknown');
    await closed;
  });

  test('a group has a bound, and what is beyond it comes next', async () => {
    const { thread, clock, append, writer } = world();
    const all = Array.from({ length: 3_000 }, (_, i) => append(`k${i}`));
    await clock.advance(0);
    expect(thread.groups.map((group) => keysOf(group).length)).toEqual([2_048]);
    thread.answer(Array.from({ length: 2_048 }, (_, i) => i + 1));
    await clock.advance(0);
    expect(thread.groups.map((group) => keysOf(group).length)).toEqual([2_048, 952]);
    thread.answer(Array.from({ length: 952 }, (_, i) => i + 2_049));
    expect((await Promise.all(all)).every(({ kind }) => kind === 'appended')).toBe(true);
    expect(writer.waitingBytes).toBe(0);
  });
});
