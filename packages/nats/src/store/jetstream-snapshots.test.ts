import type { AppendOutcome } from '@perkey/core';
import { expect, test } from 'vitest';
import type { JsReply } from '../store-api.ts';
import { JetStreamSnapshots, type SnapshotParts } from './jetstream-snapshots.ts';

const stream = { type: 'account', key: 'alice' };

/** One subject of a stream that several write: it keeps the last message under it, and counts how often that is asked for. */
class Subject {
  reads = 0;
  erased: number[] = [];
  readonly messages = new Map<number, Buffer>();
  #last = 0;

  write(expected: number, body: Uint8Array): AppendOutcome {
    if (expected !== this.#lastThere) return { kind: 'conflict' };
    this.messages.set((this.#last += 1), Buffer.from(body));
    return { kind: 'appended', sequence: this.#last };
  }

  get #lastThere(): number {
    return this.messages.has(this.#last) ? this.#last : 0;
  }

  snapshots(): JetStreamSnapshots {
    const api = {
      request: async (subject: string, text: string): Promise<JsReply> => {
        const query = JSON.parse(text) as { seq?: number };
        if (subject.includes('.DELETE.')) {
          this.erased.push(query.seq ?? 0);
          this.messages.delete(query.seq ?? 0);
          return {};
        }
        this.reads += 1;
        const sequence = query.seq ?? this.#lastThere;
        const body = this.messages.get(sequence);
        if (body === undefined) return { error: { code: 404, err_code: 10_037 } };
        return { message: { subject: `s.account.${this.#digest}`, seq: sequence, data: body.toString('base64') } };
      },
    };
    const channel = {
      append: async (_target: unknown, subject: string, expected: number, body: Uint8Array): Promise<AppendOutcome> => {
        this.#digest = subject.slice('s.account.'.length);
        return this.write(expected, body);
      },
    };
    const parts = { link: { api, ready: async () => {}, onMissing() {} }, channel, names: { natsStream: 's', prefix: 's.' } };
    return new JetStreamSnapshots({ ...(parts as unknown as SnapshotParts), bodyBytesMax: 1_000 });
  }

  #digest = '';
}

const at = (sequence: number): { sequence: number; body: Uint8Array } => ({ sequence, body: Buffer.from(`snapshot ${sequence}`) });

test('whoever saves again and again asks for the last message once, and removes those that are not kept', async () => {
  const subject = new Subject();
  const snapshots = subject.snapshots();
  for (const sequence of [100, 200, 300, 400]) await snapshots.save(stream, at(sequence), 2);
  expect([subject.reads, subject.erased]).toEqual([1, [1, 2]]);
  expect((await snapshots.load(stream)).map((found) => Buffer.from(found.body).toString())).toEqual(['snapshot 400', 'snapshot 300']);
});

test('what another node saved meanwhile is not lost: the comparison fails, and the last message is read', async () => {
  const subject = new Subject();
  const [one, other] = [subject.snapshots(), subject.snapshots()];
  await one.save(stream, at(100), 3);
  await other.save(stream, at(200), 3);
  await one.save(stream, at(300), 3);
  await other.save(stream, at(400), 3);
  expect((await one.load(stream)).map(({ sequence }) => sequence)).toEqual([400, 300, 200]);
  expect([...subject.messages.keys()]).toEqual([2, 3, 4]);
});

test('a subject that was emptied meanwhile is begun anew', async () => {
  const subject = new Subject();
  const snapshots = subject.snapshots();
  await snapshots.save(stream, at(100), 2);
  subject.messages.clear();
  await snapshots.save(stream, at(200), 2);
  expect((await snapshots.load(stream)).map(({ sequence }) => sequence)).toEqual([200]);
});
