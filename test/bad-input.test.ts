import { connect, nodeOptions, callerOptions, type OptionTable, PerkeyError, seededRandom, startNode, defineActor } from '@perkey/core';
import { shardOf } from '@perkey/core/internal';
import { nats, natsOptionTable } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Box, counted, LiveNode } from './faults/support/live-node.ts';
import { frame, malformedFrames, marker, requestFrame, requestTail } from './faults/support/raw-frames.ts';
import { environmentOf, Links } from './nats-fixture.ts';

type Server = Awaited<ReturnType<typeof startNatsServer>>;

let server: Server;
let live: LiveNode;
beforeAll(async () => {
  server = await startNatsServer();
  live = await LiveNode.start(server.url);
});
afterAll(async () => {
  await live[Symbol.asyncDispose]();
  await server.stop();
});

/** What a promise rejects with, and how long that took. */
async function refusal(promise: Promise<unknown>): Promise<{ readonly error: PerkeyError; readonly tookMs: number }> {
  const since = performance.now();
  const error: unknown = await promise.then(
    (value) => new Error(`it resolved with ${String(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PerkeyError)) throw error;
  return { error, tookMs: performance.now() - since };
}

const nobody = 'nats://127.0.0.1:1';
const plain = defineActor('plain', { get: {} }).host({ state: () => ({}), get: () => {} });

describe('options', () => {
  /** Of each row of a table: values that are out of its bounds or of another kind. */
  const wrongValues = (table: OptionTable): readonly (readonly [string, unknown])[] =>
    Object.entries(table).flatMap(([name, spec]) => {
      const values: readonly unknown[] = {
        integer: ['7', null, Number.NaN, Infinity],
        number: ['7', null, Number.NaN, Infinity],
        choice: ['no such choice', 1, null],
        flag: ['true', 1, null],
        text: [7, null, {}],
      }[spec.kind];
      const beyond = 'min' in spec ? (spec.kind === 'text' ? ['x'.repeat(spec.max + 1)] : [spec.min - 1, spec.max + 1]) : [];
      return [...beyond, ...values].map((value) => [name, value] as const);
    });
  const transport = nats({ servers: nobody });

  test('every option of a node and of a client is checked before anything is connected', async () => {
    for (const [name, value] of wrongValues(nodeOptions)) {
      const { error, tookMs } = await refusal(startNode({ cluster: 'c', ...{ [name]: value }, actors: [plain], transport, env: {} }));
      expect([error.code, error.details['option'], error.message]).toEqual(['options.invalid', name, expect.stringContaining(name)]);
      expect(tookMs).toBeLessThan(500);
    }
    for (const [name, value] of wrongValues(callerOptions)) {
      const { error } = await refusal(connect({ cluster: 'c', ...{ [name]: value }, transport, env: {} }));
      expect([error.code, error.details['option']]).toEqual(['options.invalid', name]);
    }
  });

  test('every option of the transport is checked before anything is connected', async () => {
    for (const [name, value] of [
      ...wrongValues(natsOptionTable),
      ['servers', 'no server'],
      ['servers', []],
      ['nkey', ''],
      ['nothing', 1],
    ]) {
      const open = async (): Promise<unknown> =>
        connect({ cluster: 'c', transport: nats({ servers: nobody, ...{ [name as string]: value } }), env: {} });
      expect([name, value, (await refusal(open())).error.code]).toEqual([name, value, 'options.invalid']);
    }
  });

  test('two that do not fit each other, a name that is none, and one from the environment', async () => {
    const start = (options: object, env = {}): Promise<unknown> =>
      startNode({ cluster: 'c', ...options, actors: [plain], transport: nats({ servers: nobody }), env });
    expect((await refusal(start({ heartbeatMs: 700 }))).error.message).toMatch(/heartbeatMs is 700.*third of leaseMs \(2000\)/);
    expect((await refusal(start({ leaseMS: 2_000 }))).error.message).toContain('did you mean leaseMs?');
    expect((await refusal(start({ nodeId: 'a.b' }))).error.details['option']).toBe('nodeId');
    expect((await refusal(start({}, { PERKEY_NODE_ID: 'x'.repeat(65) }))).error.message).toContain('PERKEY_NODE_ID');
  });

  test.each([0, -1, Number.NaN, '5'])('a call with timeoutMs: %j is refused', async (timeoutMs) => {
    const { error } = await refusal(live.client.actor(Box, 'k').get({ timeoutMs: timeoutMs as number }));
    expect([error.code, error.executed]).toEqual(['options.invalid', 'no']);
  });
});

describe('names and inputs', () => {
  test('an actor type that no node hosts is an error at once, for clients, nodes and calls in JSON', async () => {
    const took: number[][] = [[], [], []];
    for (let round = 0; round < 5; round += 1) {
      for (const [i, caller] of [live.client, live.node].entries()) {
        const { error, tookMs } = await refusal(caller.request('nothing', 'get', 'k', undefined));
        expect([error.code, error.executed, error.details['type']]).toEqual(['actor.unknown_type', 'no', 'nothing']);
        took[i]?.push(tookMs);
      }
      const since = performance.now();
      await expect(live.call('nothing.get', '{"key":"k"}')).rejects.toThrow('no responders');
      took[2]?.push(performance.now() - since);
    }
    for (const times of took) expect(times.toSorted((x, y) => x - y)[2]).toBeLessThan(100);
    expect(() => live.client.notify('nothing', 'get', 'k', undefined)).toThrow(PerkeyError);
  });

  test.each(['nope', '', 'constructor', '__proto__', 'toString', 'state', 'a.b', '>'])(
    'a method %j that is none is refused',
    async (method) => {
      for (const caller of [live.client, live.node]) {
        const { error, tookMs } = await refusal(caller.request('box', method, 'k', {}));
        expect([error.code, error.executed]).toEqual(['method.unknown', 'no']);
        expect(tookMs).toBeLessThan(500);
      }
    },
  );

  test('an input that does not fit is refused with the path of each failing field', async () => {
    const input = { amount: 'five', tags: [{ name: 'good' }, { name: 7 }] };
    const paths = ['amount', 'tags.1.name'];
    for (const caller of [live.client, live.node]) {
      const { error } = await refusal(caller.request('box', 'put', 'k', input));
      expect([error.code, error.executed]).toEqual(['input.invalid', 'no']);
      expect((error.details['issues'] as { path: string }[]).map(({ path }) => path)).toEqual(paths);
      expect(error.message).toContain('amount');
    }
    const answer = await live.call('box.put', JSON.stringify({ key: 'k', input }));
    expect(answer.json()).toMatchObject({ code: 'input.invalid', executed: 'no', details: { issues: paths.map((path) => ({ path })) } });
    expect(await live.client.actor(Box, 'k').get()).toBe(0);
  });

  test('what a handler throws is not told to callers', async () => {
    const { error } = await refusal(live.client.actor(Box, 'k').fail());
    expect([error.code, error.executed]).toEqual(['handler.failed', 'yes']);
    expect(error.message).not.toContain('secret');
    expect(live.nodeLog.with('actor code threw').map(({ fields }) => (fields as { err?: Error }).err?.message)).toContain(
      'a secret of the handler',
    );
  });
});

describe('keys', () => {
  const bad = ['', '\ud800', 'a\udfff', 'x'.repeat(513), 'ä'.repeat(257), 'x'.repeat(1_000_000)];
  const good = [
    ...[
      '.',
      'a..b',
      '.a',
      'a.',
      '*',
      '>',
      'x.*',
      'x.>',
      '$KV.x',
      '$JS.API.>',
      ' ',
      '\t',
      '\r\n',
      '\0',
      '\v',
      '\u00a0',
      '\u2028',
      '%2F',
      '%',
    ],
    ...[
      '\u{1f600}',
      '\u00e9',
      'e\u0301',
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      'null',
      '"',
      '\\',
      '{"key":"k"}',
      "'; --",
    ],
    ...['../../etc/passwd', 'a b', 'x'.repeat(512), 'PUB a 0\r\n\r\n', '\u001b[31m'],
  ];

  test('what cannot be a key is refused before anything is sent', async () => {
    for (const key of [...bad, 7, null, undefined, {}] as string[]) {
      for (const caller of [live.client, live.node]) {
        const { error } = await refusal(caller.request('box', 'get', key, undefined));
        expect([error.code, error.executed]).toEqual(['key.invalid', 'no']);
        expect(error.message.length).toBeLessThan(200);
      }
      if (typeof key !== 'string' || !key.isWellFormed()) continue;
      const answer = await live.call('box.get', JSON.stringify({ key }), {});
      expect(['key.invalid', 'payload.too_large']).toContain(answer.json<{ code: string }>().code);
    }
  });

  test('every other text is data: it names its own actor, and enters no subject', async () => {
    const subjects = new Set<string>();
    const watch = live.raw.subscribe('>', { callback: (_, message) => void subjects.add(message.subject) });
    const put = (key: string, amount: number): Promise<number> => live.client.actor(Box, key).put({ amount });
    await Promise.all(good.map((key, i) => put(key, i + 1)));
    for (const [i, key] of good.entries()) {
      const byHeader = await live.call('box.put', '{"amount":1000}', { 'Perkey-Key': encodeURIComponent(key) });
      const byBody = await live.call('box.put', JSON.stringify({ key, input: { amount: 1000 } }));
      expect([key, byHeader.json(), byBody.json()]).toEqual([key, 1_001 + i, 2_001 + i]);
      expect([key, await live.node.actor(Box, key).get(), await live.client.actor(Box, key).get()]).toEqual([key, 2_001 + i, 2_001 + i]);
    }
    watch.unsubscribe();
    const ours = [...subjects].filter((subject) => subject.startsWith('perkey.'));
    expect(ours.length).toBeGreaterThan(2);
    for (const subject of subjects)
      expect(subject).toMatch(/^(perkey\.live-\w+\.[\w.-]+|_INBOX\.[\w.]+|\$KV\.perkey_live-\w+_members\.[\w.-]+|\$JS\.\S+)$/);
    await live.alive();
  });
});

describe('frames of strangers', () => {
  const epochs = async (): Promise<{ shard: number; epoch: number }> => {
    await using links = new Links();
    const { link } = await links.control({ servers: server.url }, environmentOf({ cluster: live.cluster }));
    const shard = shardOf('k', 256);
    const found = await link.shards.read(`shard.${shard}`);
    return { shard, epoch: (JSON.parse(found?.value ?? '') as { epoch: number }).epoch };
  };
  const badFrames = (): number => counted(live.node.metrics, 'perkey_cluster_bad_frames_total');

  test('a well-formed frame of a stranger is answered, so that the others of this group fail for the reason they name', async () => {
    const { shard, epoch } = await epochs();
    const inbox = `perkey.${live.cluster}.reply.stranger`;
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    const replies = live.raw.subscribe(inbox, { max: 1, callback: (_, message) => resolve(message.data.slice()) });
    live.raw.publish(live.nodeSubject, requestFrame({ shard, epoch }), { reply: `${inbox}.1` });
    expect([...(await promise).subarray(0, 4)]).toEqual([0x50, 0x4b, 1, 2]);
    replies.unsubscribe();
  });

  test('malformed, cut and foreign frames are counted and logged without their content; the connections live', async () => {
    const { shard, epoch } = await epochs();
    for (const [name, bytes] of malformedFrames(shard, epoch)) {
      for (const subject of [live.nodeSubject, live.peerSubject, `perkey.${live.cluster}.any`]) {
        // A handoff may come by the address for other nodes; that there is nothing in it is another matter.
        if (name === 'a handoff that is not for this subject' && subject === live.peerSubject) continue;
        const before = badFrames();
        const since = performance.now();
        live.raw.publish(subject, bytes);
        await expect.poll(badFrames, { interval: 1, message: `${name} to ${subject}` }).toBeGreaterThan(before);
        expect([name, performance.now() - since < 1_000]).toEqual([name, true]);
      }
    }
    expect(live.nodeLog.with('a frame could not be read').length).toBeGreaterThan(3);
    expect(live.nodeLog.with('a frame could not be read').map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ problem: 'version', theirs: 9, ours: 1 }),
    );
    expect(live.nodeLog.text).not.toContain(marker);
    await live.alive();
  });

  test('random bytes and random damage do no harm', async () => {
    const { shard, epoch } = await epochs();
    const random = seededRandom(7);
    const whole = requestFrame({ shard, epoch, tail: requestTail('box', 'k', 'get', { a: [1, 'x', { b: null }] }) });
    for (let i = 0; i < 2_000; i += 1) {
      const bytes = i % 2 === 0 ? whole.slice() : frame(1 + (i % 7), new Uint8Array(Math.floor(random.next() * 200)));
      for (let hits = i % 2 === 0 ? 1 + (i % 5) : bytes.length - 4; hits > 0; hits -= 1) {
        const at = 4 + Math.floor(random.next() * (bytes.length - 4));
        bytes[at] = Math.floor(random.next() * 256);
      }
      live.raw.publish(i % 3 === 0 ? live.peerSubject : live.nodeSubject, bytes, { reply: `perkey.${live.cluster}.reply.stranger.${i}` });
    }
    await live.raw.flush();
    await live.alive();
    expect(live.nodeLog.with('a callback of the NATS link threw')).toEqual([]);
  });

  test('frames to a client: nonsense, answers to nothing, news of nobody', async () => {
    const metrics = live.client.metrics;
    const before = counted(metrics, 'perkey_cluster_bad_frames_total');
    const { promise, resolve } = Promise.withResolvers<string>();
    const seen = live.raw.subscribe(live.nodeSubject, { max: 1, callback: (_, message) => resolve(message.reply ?? '') });
    await live.raw.flush();
    await live.client.actor(Box, 'k').get();
    const address = (await promise).replace(/\.\d+$/, '');
    seen.unsubscribe();
    expect(address).toMatch(new RegExp(`^perkey\\.${live.cluster}\\.reply\\.\\w+$`));
    const nonsense = [
      Buffer.from(marker),
      frame(9),
      frame(2, Uint8Array.of(0, 0, 0, 99)),
      frame(1, Uint8Array.of(1)),
      frame(6, Uint8Array.of(0xc1)),
    ];
    for (const bytes of [...nonsense, frame(6, Uint8Array.of(0x80)), frame(2, Buffer.alloc(40))]) live.raw.publish(address, bytes);
    for (const bytes of nonsense) live.raw.publish(`perkey.${live.cluster}.clients`, bytes);
    await expect.poll(() => counted(metrics, 'perkey_cluster_bad_frames_total') - before).toBeGreaterThanOrEqual(2 * nonsense.length);
    expect(live.clientLog.text).not.toContain(marker);
    await live.alive();
  });

  test('a stranger who guesses the number of a request cannot answer it', async () => {
    // Envelopes of 12 bytes: the number of the request, a verdict of 0 for a value, and the text "no".
    const answers = Array.from({ length: 200 }, (_, id) => frame(2, Uint8Array.of(0, 0, 0, 12, 0, 0, 0, id, 0, 0xa2, 0x6e, 0x6f)));
    const unexpected = badFrames();
    let settled: unknown;
    const calling = live.node
      .request('narrow', 'block', 'guess', undefined, { timeoutMs: 20_000 })
      .then((value) => (settled = value ?? 'nothing'));
    for (const bytes of answers)
      for (const subject of [live.nodeSubject, live.peerSubject, `perkey.${live.cluster}.any`]) live.raw.publish(subject, bytes);
    await expect.poll(() => badFrames() - unexpected).toBe(600);
    expect(settled).toBeUndefined();
    live.release();
    await calling;
    expect(settled).toBe('nothing');
  });

  test('a reply subject of the caller’s making leads nowhere', async () => {
    const { shard, epoch } = await epochs();
    const targets = [
      `$KV.perkey_${live.cluster}_shards.shard.${shard}`,
      `$KV.perkey_${live.cluster}_members.member.n1`,
      `$JS.API.STREAM.DELETE.KV_perkey_${live.cluster}_shards`,
      `perkey.${live.cluster}.peer.n1.${live.node.incarnation}`,
      `perkey.${live.cluster}.node.n1.${live.node.incarnation}`,
      `perkey.${live.cluster}.call.box.put`,
      'perkey.other.reply.x.1',
      'victim.subject',
    ];
    const strange: string[] = [];
    const watch = live.raw.subscribe('>', { callback: (_, message) => void strange.push(message.subject) });
    await live.raw.flush();
    const strangers = counted(live.node.metrics, 'perkey_nats_bad_addresses_total');
    for (const reply of targets) live.raw.publish(live.nodeSubject, requestFrame({ shard, epoch }), { reply });
    // Where a NATS client takes answers is its own business, but not where the server or the product listens.
    for (const reply of targets.slice(0, -1)) {
      live.raw.publish(`perkey.${live.cluster}.call.box.get`, '{"key":"k"}', { reply });
      live.raw.publish('$SRV.PING', '', { reply });
    }
    await expect.poll(() => counted(live.node.metrics, 'perkey_nats_bad_addresses_total') - strangers).toBe(targets.length);
    await expect.poll(() => counted(live.node.metrics, 'perkey_nats_bad_reply_subjects_total')).toBe(2 * (targets.length - 1));
    await live.alive();
    watch.unsubscribe();
    const written = strange.filter((subject) => targets.includes(subject));
    // Its own renewals, and what this test itself sent.
    expect(
      written.filter((subject) => !subject.endsWith('.member.n1') && subject !== live.nodeSubject && !subject.includes('.call.')),
    ).toEqual([]);
    expect(await epochs()).toEqual({ shard, epoch });
  });
});
