import { expect, test } from 'vitest';
import { PerkeyError } from '../../base/errors.ts';
import { eventLine, historyFromLines, historyFromStream, historyToLines, MalformedHistory } from './lines.ts';
import { type History, mergeHistories } from './operation.ts';
import { HistoryRecorder } from './recorder.ts';

/** Each look at it is one millisecond later. */
function ticking(): { now(): number } {
  let ms = 0;
  return { now: () => (ms += 1) };
}

const call = { client: 'c1', key: 'k', op: 'add' };

test('keeps each call with its times and what its caller was told', async () => {
  const recorder = new HistoryRecorder({ clock: ticking() });
  const first = recorder.invoke({ ...call, input: 2, rid: 'r1', seq: 1 });
  recorder.invoke(call).notExecuted('mailbox.full');
  recorder.invoke(call).unknown();
  first.ok({ output: 2, epoch: 7, by: 'n1', life: 'x', version: 1 });
  expect(
    await recorder.run(
      call,
      () => Promise.resolve({ value: 3 }),
      ({ value }) => ({ output: value }),
    ),
  ).toEqual({ value: 3 });
  await recorder.run({ ...call, op: 'read' }, () => Promise.resolve(3));
  expect(recorder.operations).toEqual([
    { ...call, t0: 2, t1: 3, outcome: 'not executed', code: 'mailbox.full' },
    { ...call, t0: 4, t1: 5, outcome: 'unknown' },
    { ...call, input: 2, rid: 'r1', seq: 1, t0: 1, t1: 6, outcome: 'ok', output: 2, epoch: 7, by: 'n1', life: 'x', version: 1 },
    { ...call, t0: 7, t1: 8, outcome: 'ok', output: 3 },
    { ...call, op: 'read', t0: 9, t1: 10, outcome: 'ok', output: 3 },
  ]);
});

test.each([
  [new PerkeyError('mailbox.full', ''), 'not executed', 'mailbox.full'],
  [new PerkeyError('deadline.exceeded', ''), 'unknown', 'deadline.exceeded'],
  [new PerkeyError('handler.failed', ''), 'unknown', 'handler.failed'],
  [new RangeError('x'), 'unknown', 'RangeError'],
  ['x', 'unknown', 'string'],
])('%s means %s', async (error, outcome, code) => {
  const recorder = new HistoryRecorder({ clock: ticking() });
  await expect(recorder.run(call, () => Promise.reject(error as Error))).rejects.toBe(error);
  expect(recorder.operations).toEqual([{ ...call, t0: 1, t1: 2, outcome, code }]);
});

test('a call under way is one of unknown outcome, and ends once', () => {
  const recorder = new HistoryRecorder({ clock: ticking() });
  const open = recorder.invoke(call);
  expect([recorder.openCount, recorder.operations]).toEqual([1, [{ ...call, t0: 1, t1: Infinity, outcome: 'unknown' }]]);
  open.ok();
  expect([recorder.openCount, recorder.operations]).toEqual([0, [{ ...call, t0: 1, t1: 2, outcome: 'ok' }]]);
  expect(() => open.unknown()).toThrow('this call has ended before');
});

test('a full history takes nothing more', () => {
  const recorder = new HistoryRecorder({ clock: ticking(), entriesMax: 3 });
  recorder.invoke(call).ok();
  recorder.invoke(call);
  recorder.log({ key: 'k', version: 1 });
  expect(() => recorder.invoke(call)).toThrow('the history is full: it holds 3 operations and events');
  expect(() => recorder.log({ key: 'k', version: 2 })).toThrow('the history is full');
});

test('what it gives out line by line is read back the same, with the calls of a process that died', async () => {
  const lines: string[] = [];
  const recorder = new HistoryRecorder({ clock: ticking(), onLine: (line) => lines.push(line) });
  recorder
    .invoke({ ...call, input: { amount: 1 }, rid: 'r1', seq: 4 })
    .ok({ output: [1, null, 'ü\n'], epoch: 7, by: 'n1', life: 'x', version: 1 });
  recorder.invoke({ ...call, rid: 'r2' });
  recorder.invoke(call).notExecuted('mailbox.full');
  recorder.log({ key: 'k', version: 1, rid: 'r1', epoch: 7, by: 'n1', life: 'x', at: 1.5, client: 'c1', seq: 4 });
  const { operations, events } = recorder;
  expect(lines).toHaveLength(6);
  expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  expect(historyFromLines(lines)).toEqual({ operations, events });
  expect(historyFromLines(historyToLines(recorder))).toEqual({ operations, events });
  async function* streamed(): AsyncGenerator<string> {
    yield* lines;
  }
  expect(await historyFromStream(streamed())).toEqual({ operations, events });
});

test('one file may hold the lines of several recorders, one after the other', () => {
  const lines: string[] = [];
  const onLine = (line: string): number => lines.push(line);
  new HistoryRecorder({ clock: ticking(), onLine }).invoke(call);
  new HistoryRecorder({ clock: ticking(), onLine }).invoke({ ...call, op: 'read' }).ok();
  const { operations } = historyFromLines(lines);
  expect(operations.map(({ op, outcome }) => [op, outcome])).toEqual([
    ['add', 'unknown'],
    ['read', 'ok'],
  ]);
});

test('histories are merged', () => {
  const recorded = (client: string): History => {
    const recorder = new HistoryRecorder({ clock: ticking() });
    recorder.invoke({ ...call, client }).ok();
    recorder.log({ key: client, version: 1 });
    return recorder;
  };
  const { operations, events } = mergeHistories([recorded('a'), recorded('b')]);
  expect([operations.map(({ client }) => client), events.map(({ key }) => key)]).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ]);
});

const good = eventLine({ key: 'k', version: 1 });
const operation = { is: 'operation', client: 'c', key: 'k', op: 'add', t0: 1, t1: 2, outcome: 'ok' };

test.each([
  ['{', 'not JSON'],
  ['[]', 'not an object'],
  ['null', 'not an object'],
  ['{"is":"turn"}', '"is" must be "operation", "invoked" or "event"'],
  [JSON.stringify({ ...operation, client: 3 }), '"client" must be a text'],
  [JSON.stringify({ ...operation, t0: '1' }), '"t0" must be a number'],
  [JSON.stringify({ ...operation, t1: 0 }), '"t1" is before "t0"'],
  [JSON.stringify({ ...operation, outcome: 'fine' }), '"outcome" must be "ok", "not executed" or "unknown"'],
  [JSON.stringify({ ...operation, epoch: '7' }), '"epoch" must be a number'],
  [JSON.stringify({ is: 'event', key: 'k' }), '"version" must be a number'],
  [JSON.stringify({ ...operation, is: 'invoked' }), '"n" must be a number'],
  [' '.repeat(1_000), 'longer than 999 characters'],
])('the line %s is refused: %s', (line, fault) => {
  const read = (): History => historyFromLines([good, '', line, good], { lineLengthMax: 999 });
  expect(read).toThrow(MalformedHistory);
  expect(read).toThrow(`line 3: ${fault}`);
});

test('too many lines are refused', () => {
  expect(() => historyFromLines([good, good, good], { linesMax: 2 })).toThrow('line 3: more than 2 lines');
});
