import { registerHooks } from 'node:module';

/** A part of the protocol and how it is taken out: a text of a source file, and what stands there instead. */
export interface Mutation {
  /** Below the sources of its package. */
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

/** Taken out of the servers, not of the nodes. */
export const syncOfStore = 'sync_interval of the server';

export const mutations: Readonly<Record<string, readonly Mutation[]>> = {
  'the lease check': [
    {
      file: 'cluster/session.ts',
      find: 'mayAct: (now: number) => lease.mayAct(now)',
      put: 'mayAct: (now: number) => lease.mayAct(now) || true',
    },
  ],
  'a lease shorter than the time to eviction': [
    {
      file: 'cluster/lease.ts',
      find: 'const deadline = sentAt.now + times.leaseMs;',
      put: 'const deadline = sentAt.now + times.leaseMs * 10;',
    },
  ],
  "the wait for the owner's lease before a take-over": [
    {
      file: 'cluster/evictor.ts',
      find: 'Math.max(since, heldSince) > patienceMs;',
      put: 'Math.max(since, heldSince) > Math.min(patienceMs, 800);',
    },
    { file: 'cluster/evictor.ts', find: '+ this.#patienceMs(record) - now;', put: '+ 800 - now;' },
  ],
  "the observer's own lease": [
    {
      file: 'cluster/evictor.ts',
      find: 'return heldSince !== undefined && this.#options.clock.now() - Math.max(since, heldSince) > patienceMs;',
      put: 'return heldSince !== Infinity && this.#options.clock.now() - since > patienceMs;',
    },
    { file: 'cluster/evictor.ts', find: 'if (heldSince === undefined) return Infinity;', put: 'if (heldSince === undefined) return 100;' },
  ],
  'the lease check and the epoch of a request': [
    {
      file: 'cluster/session.ts',
      find: 'mayAct: (now: number) => lease.mayAct(now)',
      put: 'mayAct: (now: number) => lease.mayAct(now) || true',
    },
    { file: 'cluster/inbound.ts', find: 'epoch === reader.epoch', put: 'epoch !== undefined' },
  ],
  'the memory of replies': [
    {
      file: 'actor/turn-runner.ts',
      find: 'if (message.idempotencyKey !== undefined && this.#isAnswered(activation, method, message, now)) return now;',
      put: '',
    },
  ],
  'the memory of replies in commits': [
    {
      file: 'actor/turn-runner.ts',
      find: 'if (message.idempotencyKey !== undefined && this.#isAnswered(activation, method, message, now)) return now;',
      put: '',
    },
    { file: 'durable/kept-replies.ts', find: 'if (reply === undefined) return undefined;', put: 'if (reply !== null) return undefined;' },
  ],
  'compare-and-set from appends': [
    { file: 'store/append-frames.ts', find: 'Nats-Expected-Last-Subject-Sequence:', put: 'Not-Expected-Last-Subject-Sequence:' },
  ],
  'the fence of a new owner': [
    {
      file: 'durable/loader.ts',
      find: '(isOthers || doubts.isDoubtful(key, head.sequence))',
      put: '(isOthers || doubts.isDoubtful(key, head.sequence)) && author.epoch < 0',
    },
  ],
  // The servers are then started without it: `World`.
  [syncOfStore]: [],
};

const wanted = process.env['PERKEY_WITHOUT'];
if (wanted !== undefined && wanted !== '') {
  const parts = mutations[wanted];
  if (parts === undefined) throw new Error(`there is no mutation "${wanted}"`);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const own = parts.filter(({ file }) => /\/packages\/\w+\/src\//.test(url) && url.endsWith(`/src/${file}`));
      if (own.length === 0) return loaded;
      const text = loaded.source ?? '';
      let source = typeof text === 'string' ? text : Buffer.from(text as Uint8Array).toString('utf8');
      for (const { file, find, put } of own) {
        if (!source.includes(find)) throw new Error(`the text to be taken out of ${file} is not there`);
        source = source.replace(find, put);
      }
      return { ...loaded, source };
    },
  });
}
