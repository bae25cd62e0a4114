import { expect, test } from 'vitest';
import { AckReader } from './append-answer.ts';

const reader = new AckReader('perkey_demo_events');
const bytes = (text: string): Uint8Array => Buffer.from(text);
const fault = (code: number, errCode: number, description: string): Uint8Array =>
  bytes(JSON.stringify({ error: { code, err_code: errCode, description }, stream: 'perkey_demo_events', seq: 0 }));

test('acknowledgements of the usual form are read at once', () => {
  expect(reader.fast(bytes('{"stream":"perkey_demo_events", "seq":1}'))).toBe(1);
  expect(reader.fast(bytes('{"stream":"perkey_demo_events","seq":123456789}'))).toBe(123_456_789);
});

test('anything else is left to the slow way', () => {
  const texts = [
    '',
    '{}',
    '{"stream":"perkey_demo_event", "seq":1}',
    '{"stream":"perkey_demo_eventsX", "seq":1}',
    '{"stream":"perkey_demo_events", "domain":"d", "seq":1}',
    '{"stream":"perkey_demo_events", "seq":1,"duplicate":true}',
    '{"stream":"perkey_demo_events", "seq":1',
    '{"stream":"perkey_demo_events", "seq":}',
    '{"stream":"perkey_demo_events", "seq":-1}',
    '{"stream":"perkey_demo_events", "seq":99999999999999999999}',
    '{"error":{"code":503,"err_code":10077},"stream":"perkey_demo_events","seq":0}',
  ];
  for (const text of texts) expect(reader.fast(bytes(text)), text).toBe(0);
});

test('the slow way knows a domain, and takes no acknowledgement of another stream', () => {
  expect(reader.slow(bytes('{"stream":"perkey_demo_events", "domain":"d", "seq":7}'))).toEqual({ kind: 'appended', sequence: 7 });
  for (const text of ['{"stream":"other","seq":7}', '{"stream":"perkey_demo_events","seq":0}', 'null', '7', '{', '[]'])
    expect(reader.slow(bytes(text)).kind, text).toBe('unknown');
});

test('only what is said before anything is stored is a refusal; all other errors are unknown', () => {
  expect(reader.slow(fault(400, 10_071, 'wrong last sequence: 7'))).toEqual({ kind: 'conflict' });
  expect(reader.slow(fault(400, 10_164, 'wrong last sequence'))).toEqual({ kind: 'conflict' });
  for (const [code, description] of [
    [10_077, 'maximum bytes exceeded'],
    [10_077, 'maximum messages exceeded'],
    [10_023, 'insufficient resources'],
    [10_047, 'insufficient storage resources available'],
  ] as const)
    expect(reader.slow(fault(503, code, description)), description).toMatchObject({ kind: 'refused', reason: 'full' });
  expect(reader.slow(fault(400, 10_054, 'message size exceeds maximum allowed'))).toMatchObject({ kind: 'refused', reason: 'too_large' });
  for (const [code, description] of [
    [10_077, 'write: no space left on device'],
    [10_008, 'JetStream system temporarily unavailable'],
    [10_009, 'JetStream cluster can not handle request'],
    [0, 'whatever'],
  ] as const)
    expect(reader.slow(fault(503, code, description)).kind, description).toBe('unknown');
});
