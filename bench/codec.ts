import { noHead } from '@perkey/core';
import {
  CommitReader,
  CommitWriter,
  copyPlain,
  decode,
  Decoder,
  Encoder,
  FrameBatcher,
  frameKind,
  ReplyReader,
  RequestReader,
  RequestTailEncoder,
} from '@perkey/core/internal';
import { Packr } from 'msgpackr';
import { median } from './support/numbers.ts';

interface Row {
  readonly name: string;
  readonly per_second: number;
  readonly ns: number;
  /** Of the same work done with JSON in the same round; above 1 is faster than JSON. */
  readonly json_ratio: number | null;
  /** Of the same work done with msgpackr, which is less work: no limits, nothing refused. */
  readonly msgpackr_ratio: number | null;
}

export interface CodecResult {
  readonly rows: readonly Row[];
  /** How long it takes to refuse a megabyte made to become a million objects. */
  readonly bomb_ms: number;
}

interface Case {
  readonly name: string;
  /** Does the work `times` times; returns a number that depends on it, so that nothing is optimized away. */
  readonly run: (times: number) => number;
  readonly json?: (times: number) => number;
  readonly msgpackr?: (times: number) => number;
}

const inFrame = 64;
const framesKept = 16;
const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: false, structuredClone: false, useBigIntExtension: true });
const sink = { number: 0 };

/** The turn of the event loop ends when the bench says so. */
class ManualClock {
  #deferred: (() => void)[] = [];
  now = (): number => 0;
  wall = (): number => 0;
  setTimer = (): { cancel(): void } => ({ cancel: () => {} });
  defer = (run: () => void): void => {
    this.#deferred.push(run);
  };
  endTurn(): void {
    for (const run of this.#deferred.splice(0)) run();
  }
}

const keys = Array.from({ length: 100 }, (_, i) => `counter-${i}`);
const keyOf = (i: number): string => keys[i % keys.length]!;
const tailOf = (i: number): unknown[] => ['counter', keyOf(i), 'increment', { amount: i & 0x3f }];
const replyOf = (i: number): object => ({ counter_id: keyOf(i), value: i });

function requestFrames(): { fill: (times: number) => Uint8Array[]; clock: ManualClock } {
  const clock = new ManualClock();
  let frames: Uint8Array[] = [];
  const tails = new RequestTailEncoder(65_536);
  const send = (_to: string, frame: Uint8Array): void => {
    // Those that are read later; a connection does not keep them either.
    if (frames.length < framesKept) frames.push(frame);
  };
  const batcher = new FrameBatcher({ kind: frameKind.request, clock, frameBytesMax: 262_144, frameCountMax: inFrame, send });
  const fill = (times: number): Uint8Array[] => {
    frames = [];
    for (let i = 0; i < times; i += 1) {
      const tail = tails.encode('counter', keyOf(i), 'increment', { amount: i & 0x3f }, undefined, undefined, undefined, '');
      batcher.request('node', i, i & 0xff, 0, 1_700_000_000_000, 30_000, tail);
    }
    batcher.flush();
    return frames;
  };
  return { fill, clock };
}

function replyFrames(): (times: number) => Uint8Array[] {
  const clock = new ManualClock();
  let frames: Uint8Array[] = [];
  const send = (_to: string, frame: Uint8Array): void => {
    // Those that are read later; a connection does not keep them either.
    if (frames.length < framesKept) frames.push(frame);
  };
  const batcher = new FrameBatcher({ kind: frameKind.reply, clock, frameBytesMax: 262_144, frameCountMax: inFrame, send });
  return (times) => {
    frames = [];
    for (let i = 0; i < times; i += 1) batcher.reply('client', i, replyOf(i));
    batcher.flush();
    return frames;
  };
}

const nowhere = { ok: (): void => {}, error: (): void => {} };

function frameCases(): Case[] {
  const requests = requestFrames().fill;
  const replies = replyFrames();
  const decoder = new Decoder();
  const someRequests = requests(inFrame * framesKept);
  const someReplies = replies(inFrame * framesKept);
  const jsonFrame = (of: (i: number) => unknown): Buffer =>
    Buffer.from(JSON.stringify(Array.from({ length: inFrame }, (_, i) => [i, i & 0xff, 1_700_000_000_000, 30_000, of(i)])));
  const jsonWrite = (of: (i: number) => unknown) => (times: number) => {
    let bytes = 0;
    for (let i = 0; i < times; i += inFrame) bytes += jsonFrame(of).length;
    return bytes;
  };
  const jsonRead = (frame: Buffer) => (times: number) => {
    let count = 0;
    for (let i = 0; i < times; i += inFrame) count += (JSON.parse(frame.toString()) as unknown[]).length;
    return count;
  };
  const readRequests = (times: number): number => {
    let seen = 0;
    for (let i = 0; i < times; i += inFrame) {
      const reader = new RequestReader(someRequests[(i / inFrame) & 0x0f]!, decoder);
      while (reader.next()) seen += reader.request(reader.remainingMs, nowhere).id & 1;
    }
    return seen;
  };
  const readReplies = (times: number): number => {
    let seen = 0;
    for (let i = 0; i < times; i += inFrame) {
      const reader = new ReplyReader(someReplies[(i / inFrame) & 0x0f]!, decoder);
      while (reader.next()) seen += reader.ok ? (reader.value() as { value: number }).value & 1 : 0;
    }
    return seen;
  };
  return [
    { name: 'requests into frames of 64', run: (times) => requests(times).length, json: jsonWrite(tailOf) },
    { name: 'requests out of frames of 64', run: readRequests, json: jsonRead(jsonFrame(tailOf)) },
    { name: 'replies into frames of 64', run: (times) => replies(times).length, json: jsonWrite(replyOf) },
    { name: 'replies out of frames of 64', run: readReplies, json: jsonRead(jsonFrame(replyOf)) },
  ];
}

function valueCases(): Case[] {
  const encoder = new Encoder();
  const decoder = new Decoder();
  const repeat = (once: (i: number) => number) => (times: number) => {
    let sum = 0;
    for (let i = 0; i < times; i += 1) sum += once(i);
    return sum;
  };
  const encodeOnce = (value: unknown): Uint8Array => {
    encoder.open(1_024);
    encoder.value(value);
    return encoder.take();
  };
  const encoded = Array.from({ length: 64 }, (_, i) => encodeOnce(tailOf(i)));
  const joined = Buffer.concat(encoded);
  const ends = encoded.map((_, i) => encoded.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0));
  const spanOf = (i: number): { start: number; end: number } => ({ start: i === 0 ? 0 : ends[i - 1]!, end: ends[i]! });
  const spans = encoded.map((_, i) => spanOf(i));
  const texts = Array.from({ length: 64 }, (_, i) => Buffer.from(JSON.stringify(tailOf(i))));
  const inputs = Array.from({ length: 64 }, (_, amount) => ({ amount }));
  return [
    {
      name: 'encode a request',
      run: repeat((i) => encodeOnce(tailOf(i)).length),
      json: repeat((i) => Buffer.from(JSON.stringify(tailOf(i))).length),
      msgpackr: repeat((i) => packr.pack(tailOf(i)).length),
    },
    {
      name: 'decode a request among others',
      run: repeat((i) => {
        const { start, end } = spans[i & 63]!;
        return (decoder.only(joined, start, end) as unknown[]).length;
      }),
      json: repeat((i) => (JSON.parse(texts[i & 63]!.toString()) as unknown[]).length),
      msgpackr: repeat((i) => (packr.unpack(joined, spans[i & 63]) as unknown[]).length),
    },
    {
      name: 'copy { amount } without a wire',
      run: repeat((i) => copyPlain(inputs[i & 63]!).amount),
      json: repeat((i) => (JSON.parse(JSON.stringify(inputs[i & 63])) as { amount: number }).amount),
    },
  ];
}

/** A commit of one event, as an account has it, without the hash of the record before: that is SHA-256 whoever writes. */
function commitCases(): Case[] {
  const writer = new CommitWriter(1_000_000);
  const reader = new CommitReader();
  const author = { epoch: 1_700_000_000_000, owner: 'node-3/0123456789abcdef' };
  const head = { ...noHead, version: 41, epoch: author.epoch, owner: author.owner, hash: '0123456789abcdef0123456789abcdef' };
  const draftOf = (i: number) => ({
    id: `0123456789abcdef${(i & 0xffff).toString(36)}`,
    at: 1_700_000_000_000 + i,
    events: [{ name: 'MoneyDeposited', schema: 1, data: { amount: i & 0x3f } }],
  });
  const write = (i: number): Uint8Array =>
    writer.write({ kind: 'commit', stream: { type: 'Account', key: keyOf(i) }, head, author, draft: draftOf(i) });
  const plainOf = (i: number): unknown[] => ['Account', keyOf(i), 42, author.epoch, author.owner, head.hash, draftOf(i)];
  const some = <T>(make: (i: number) => T): readonly T[] => Array.from({ length: 1_024 }, (_, i) => make(i));
  const [bodies, texts, packed] = [some(write), some((i) => Buffer.from(JSON.stringify(plainOf(i)))), some((i) => packr.pack(plainOf(i)))];
  const repeat = (once: (i: number) => number) => (times: number) => {
    let sum = 0;
    for (let i = 0; i < times; i += 1) sum += once(i);
    return sum;
  };
  return [
    {
      name: 'write a commit of one event',
      run: repeat((i) => write(i).length),
      json: repeat((i) => Buffer.from(JSON.stringify(plainOf(i))).length),
      msgpackr: repeat((i) => packr.pack(plainOf(i)).length),
    },
    {
      name: 'read a commit of one event',
      run: repeat((i) => reader.read({ sequence: i, body: bodies[i & 1_023]! }).events.length),
      json: repeat((i) => (JSON.parse(texts[i & 1_023]!.toString()) as unknown[]).length),
      msgpackr: repeat((i) => (packr.unpack(packed[i & 1_023]!) as unknown[]).length),
    },
  ];
}

function nsEach(run: (times: number) => number, times: number): number {
  const start = performance.now();
  sink.number += run(times);
  return ((performance.now() - start) * 1_000_000) / times;
}

/** The peers take turns, so that a slow moment of the machine meets all of them. */
function measure(one: Case, rounds: number, times: number): Row {
  const peers = [one.run, one.json, one.msgpackr];
  const samples: number[][] = [[], [], []];
  for (const peer of peers) if (peer) nsEach(peer, times >> 2);
  for (let round = 0; round < rounds; round += 1) {
    peers.forEach((peer, i) => {
      if (peer) samples[i]!.push(nsEach(peer, times));
    });
  }
  const [ns = Number.NaN, jsonNs, msgpackrNs] = samples.map((all) => (all.length > 0 ? median(all) : undefined));
  const ratio = (other: number | undefined): number | null => (other === undefined ? null : Math.round((other / ns) * 100) / 100);
  return {
    name: one.name,
    per_second: Math.round(1e9 / ns),
    ns: Math.round(ns * 10) / 10,
    json_ratio: ratio(jsonNs),
    msgpackr_ratio: ratio(msgpackrNs),
  };
}

function bombMs(): number {
  const bomb = new Uint8Array(1_000_001).fill(0x80);
  bomb.set([0xdd, 0x00, 0x0f, 0x42, 0x3c]);
  const start = performance.now();
  try {
    decode(bomb);
  } catch {
    return Math.round((performance.now() - start) * 100) / 100;
  }
  throw new Error('the bomb was decoded');
}

/** What encoding and decoding cost, value by value and in frames, beside JSON and msgpackr. No network. */
export async function codec(options: { json: boolean; quick: boolean }): Promise<CodecResult> {
  const [rounds, times] = options.quick ? [3, 32_768] : [9, 524_288];
  const rows: Row[] = [];
  for (const one of [...valueCases(), ...commitCases(), ...frameCases()]) rows.push(measure(one, rounds, times));
  const result = { rows, bomb_ms: bombMs() };
  if (!options.json) {
    console.table(result.rows);
    console.log(`a megabyte of a million empty objects refused in ${result.bomb_ms} ms`);
  }
  return result;
}
