import { connect, headers as natsHeaders, type NatsConnection } from '@nats-io/transport-node';
import { isErrorCode, type Random, seededRandom } from '@perkey/core';
import { decode, frameKind, shardOf } from '@perkey/core/internal';
import { startNatsServer } from '@perkey/nats/dev';
import { Agent, request } from 'node:http';
import { connect as dial } from 'node:net';
import { environmentOf, Links } from '../nats-fixture.ts';
import { Attacked } from './attacked.ts';
import { hostileFrame, type Place } from './frames.ts';
import { type HttpAttempt, httpAttempt, jsonCall } from './requests.ts';
import { type Health, hostileCluster, hostileShards } from './health.ts';

export interface AttackOptions {
  readonly count: number;
  readonly seed: number;
  readonly onProgress?: (done: number, health: Health) => void;
}

export interface AttackResult {
  readonly count: number;
  readonly seconds: number;
  readonly frames: number;
  readonly json: number;
  readonly http: number;
  /** How often each code, or `ok`, was answered. */
  readonly answers: Readonly<Record<string, number>>;
  /** Of the frames that were sent one by one, those that were neither answered nor counted as bad. */
  readonly silent: number;
  /** What should not have happened, in words; the first few. */
  readonly faults: readonly string[];
  readonly stallMs: number;
  /** Of the worst stall, the work of the node itself. */
  readonly workMs: number;
  readonly heapBytesPerInput: number;
  readonly first: Health;
  readonly last: Health;
  readonly logLines: number;
}

/** Inputs between two looks at the health of the process. */
const windowMax = 40_000;
const warmUpSize = 2_000;
/** Frames of a window that are sent one by one. */
const aloneMax = 200;
const underWayMax = 64;
const prefix = `perkey.${hostileCluster}`;
const httpCodes = /^(http|counter)\.[a-z_]+$/;

/** Attacks a node and an HTTP server in a process of their own, and watches what becomes of them. */
export async function attack({ count, seed, onProgress }: AttackOptions): Promise<AttackResult> {
  await using server = await startNatsServer();
  await using attacked = await Attacked.start(server.url);
  const nats = await connect({ servers: server.url, reconnect: false });
  try {
    return await new Attack(seededRandom(seed), attacked, nats, await placesOf(server.url)).run(count, onProgress);
  } finally {
    await nats.close();
  }
}

/** Keys with the shards and epochs under which they are served, as a client learns them. */
async function placesOf(servers: string): Promise<readonly Place[]> {
  await using links = new Links();
  const { link } = await links.control({ servers }, environmentOf({ cluster: hostileCluster }));
  const places = Array.from({ length: 50 }, async (_, i) => {
    const shard = shardOf(`key-${i}`, hostileShards);
    const record = await link.shards.read(`shard.${shard}`);
    return { key: `key-${i}`, shard, epoch: (JSON.parse(record?.value ?? '{}') as { epoch: number }).epoch };
  });
  return await Promise.all(places);
}

class Attack {
  readonly #random: Random;
  readonly #attacked: Attacked;
  readonly #nats: NatsConnection;
  readonly #places: readonly Place[];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 });
  readonly #answers = new Map<string, number>();
  readonly #faults: string[] = [];
  readonly #counts = { frames: 0, json: 0, http: 0 };
  /** Number of the frame that was sent alone and has no answer yet. */
  #waitingFor = 0;
  #silent = 0;

  constructor(random: Random, attacked: Attacked, nats: NatsConnection, places: readonly Place[]) {
    this.#random = random;
    this.#attacked = attacked;
    this.#nats = nats;
    this.#places = places;
  }

  async run(count: number, onProgress: AttackOptions['onProgress']): Promise<AttackResult> {
    const since = performance.now();
    const replies = this.#nats.subscribe(`${prefix}.reply.mallory.*`, {
      callback: (_, { subject }) => {
        if (Number(subject.slice(subject.lastIndexOf('.') + 1)) === this.#waitingFor) this.#waitingFor = 0;
      },
    });
    // Code that runs for the first time is slow, which is not the doing of the inputs.
    await this.#window(warmUpSize);
    await this.#attacked.health();
    const healths: Health[] = [];
    const windowSize = Math.min(windowMax, Math.ceil(count / 4));
    for (let done = 0; done < count; done += windowSize) {
      await this.#window(Math.min(windowSize, count - done));
      const health = await this.#attacked.health();
      healths.push(health);
      onProgress?.(Math.min(count, done + windowSize), health);
    }
    replies.unsubscribe();
    this.#agent.destroy();
    await this.#alive();
    return this.#result(count, (performance.now() - since) / 1_000, healths, windowSize);
  }

  /** Seven of ten are frames, two are calls in JSON, one is a request over HTTP. */
  async #window(count: number): Promise<void> {
    const [json, http] = [Math.floor(count * 0.2), Math.floor(count * 0.1)];
    await Promise.all([
      this.#frames(count - json - http),
      this.#together(json, () => this.#callInJson()),
      this.#together(http, () => this.#overHttp()),
    ]);
  }

  async #together(count: number, one: () => Promise<void>): Promise<void> {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await one();
      }
    };
    await Promise.all(Array.from({ length: underWayMax }, lane));
  }

  /** Most of them in a flood, the last ones one by one, so that it is seen what becomes of each. */
  async #frames(count: number): Promise<void> {
    const alone = Math.min(aloneMax, Math.ceil(count / 20));
    for (let sent = 1; sent <= count - alone; sent += 1) {
      this.#sendFrame();
      if (sent % 500 === 0) await this.#alive();
    }
    await this.#alive();
    for (let sent = 0; sent < alone; sent += 1) await this.#sendAlone();
  }

  /** It must be answered, or counted as bad. What is early is held for a second, and then refused. */
  async #sendAlone(): Promise<void> {
    const before = await this.#attacked.badFrames();
    const number = this.#sendFrame();
    if (number === undefined) return;
    this.#waitingFor = number;
    for (const giveUpAt = performance.now() + 5_000; this.#waitingFor === number;) {
      await this.#alive();
      if ((await this.#attacked.badFrames()) > before) return;
      if (performance.now() < giveUpAt) continue;
      this.#silent += 1;
      this.#fault(`nothing came of frame ${number}`);
      return;
    }
  }

  /** Its number; undefined where neither an answer nor a count must come of it. */
  #sendFrame(): number | undefined {
    const { bytes, to } = hostileFrame(this.#random, this.#places);
    const number = (this.#counts.frames += 1);
    const node = `target.${this.#attacked.ready.incarnation}`;
    const subjects = { node: `${prefix}.node.${node}`, peer: `${prefix}.peer.${node}`, any: `${prefix}.any`, clients: `${prefix}.clients` };
    const odd = this.#random.next() < 0.05;
    const reply = odd ? '$KV.perkey_hostile_shards.shard.1' : `${prefix}.reply.mallory.${number}.1`;
    this.#nats.publish(subjects[to], bytes, { reply });
    // To all clients; without a place for an answer; without content; a list of what is given up; a question, which is answered with news.
    const kind = bytes[3];
    const isQuiet = to === 'clients' || odd || bytes.length <= 4 || (kind === frameKind.cancel && isList(bytes));
    return isQuiet ? undefined : number;
  }

  async #callInJson(): Promise<void> {
    const { subject, body, headers } = jsonCall(this.#random, prefix);
    const marks = natsHeaders();
    try {
      for (const [name, value] of headers) marks.append(name, value);
    } catch {
      // What the client library refuses no caller can send by it.
    }
    this.#counts.json += 1;
    try {
      const answer = await this.#nats.request(subject, body, { timeout: 10_000, headers: marks });
      const code = answer.headers?.get('Perkey-Error-Code') ?? '';
      JSON.parse(answer.string());
      this.#answered(code === '' ? 'ok' : code, code === '' || isErrorCode(code));
    } catch (error) {
      this.#fault(`a call in JSON to ${subject} was not answered: ${(error as Error).message}`);
    }
  }

  async #overHttp(): Promise<void> {
    const attempt = httpAttempt(this.#random);
    this.#counts.http += 1;
    if (attempt.raw !== undefined) return this.#rawHttp(attempt.raw);
    const { status, body } = await this.#http(attempt);
    if (status < 400) return this.#answered('ok', status === 200);
    const { code = '' } = JSON.parse(body) as { readonly code?: string };
    const good = (isErrorCode(code) || httpCodes.test(code)) && code !== 'http.internal';
    this.#answered(code, good, good ? '' : ` (${status}) to ${attempt.method} ${attempt.path.slice(0, 200)}: ${body.slice(0, 300)}`);
  }

  #http({ method, path, headers: given, body }: HttpAttempt): Promise<{ readonly status: number; readonly body: string }> {
    // Some methods have no body by themselves, and what is sent without a length would count as the next request.
    const headers = body === '' ? given : { ...given, 'content-length': String(Buffer.byteLength(body)) };
    const options = { host: '127.0.0.1', port: this.#attacked.ready.httpPort, agent: this.#agent, method, path, headers };
    return new Promise((resolve, reject) => {
      const outgoing = request(options, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (part: string) => (text += part));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: text }));
        incoming.on('error', reject);
      });
      outgoing.setTimeout(10_000, () => outgoing.destroy(new Error('no answer in 10 s')));
      // A body that is refused before it was read: the connection may close in the middle of it.
      outgoing.on('error', (error) =>
        resolve({ status: 499, body: JSON.stringify({ code: `http.${brokenOff(error)}`, error: error.message }) }),
      );
      outgoing.end(body);
    });
  }

  /** Anything but silence will do: an answer, or the end of the connection. */
  #rawHttp(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      const socket = dial(this.#attacked.ready.httpPort, '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1').on('data', (part: string) => (text += part));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        // Whoever asks whether to go on is told so first.
        text = text.replace(/^(HTTP\/1\.1 100 Continue\r\n\r\n)+/, '');
        this.#answered(`raw ${text.slice(9, 12)}`, text === '' || /^HTTP\/1\.1 [2-5]\d\d /.test(text));
        resolve();
      });
      socket.end(bytes);
    });
  }

  /** A call of an honest caller, by way of all that is under attack. */
  async #alive(): Promise<void> {
    const answer = await this.#nats.request(`${prefix}.call.box.get`, '{"key":"honest"}', { timeout: 10_000 });
    if (answer.json() !== 0) this.#fault(`an honest caller was answered ${answer.string()}`);
  }

  #answered(code: string, good: boolean, more = ''): void {
    this.#answers.set(code, (this.#answers.get(code) ?? 0) + 1);
    if (!good) this.#fault(`answered with "${code}"${more}`);
  }

  #fault(text: string): void {
    if (this.#faults.length < 20) this.#faults.push(text);
  }

  #result(count: number, seconds: number, healths: readonly Health[], windowSize: number): AttackResult {
    const { badLines, lines, stderr, running } = this.#attacked;
    const last = healths.at(-1) as Health;
    if (!running) this.#fault('the process ended');
    if (stderr !== '') this.#fault(`it wrote to standard error: ${stderr.slice(0, 500)}`);
    for (const line of badLines) this.#fault(`a line of the log: ${line}`);
    if (last.prototypesChanged.length > 0) this.#fault(`changed: ${last.prototypesChanged.join()}`);
    if (last.callbackErrors > 0) this.#fault(`${last.callbackErrors} callbacks of the links threw`);
    return {
      ...{ count, seconds: Math.round(seconds), ...this.#counts, silent: this.#silent, faults: this.#faults, logLines: lines },
      answers: Object.fromEntries([...this.#answers].sort(([, a], [, b]) => b - a)),
      stallMs: Math.max(...healths.map(({ stallMs }) => stallMs)),
      workMs: Math.max(...healths.map(({ workMs }) => workMs)),
      heapBytesPerInput: slope(healths.map(({ heapBytes }) => heapBytes)) / windowSize,
      first: healths[0] as Health,
      last,
    };
  }
}

function brokenOff(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'ECONNRESET' ? 'broken_off' : 'internal';
}

/** By least squares, over the later two thirds: what is there once for all is there by then. */
function slope(values: readonly number[]): number {
  const later = values.slice(Math.floor(values.length / 3));
  const middle = (later.length - 1) / 2;
  const mean = later.reduce((sum, value) => sum + value, 0) / later.length;
  const [up, down] = later.reduce(([a, b], value, i) => [a + (i - middle) * (value - mean), b + (i - middle) ** 2], [0, 0]);
  return down === 0 ? 0 : up / down;
}

/** Whether the content of a control frame is one. */
function isList(bytes: Uint8Array): boolean {
  try {
    return Array.isArray(decode(bytes, 4, bytes.length));
  } catch {
    return false;
  }
}
