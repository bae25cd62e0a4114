import { connect as connectRaw, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { errorCatalogue, startNode } from '@perkey/core';
import { nats } from '@perkey/nats';
import { startNatsServer } from '@perkey/nats/dev';
import { existsSync } from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { counter } from '../examples/counter/src/counter.ts';
import { codeBlocks } from './docs/code-blocks.ts';
import { metricTable, runForMetrics } from './docs/metric-run.ts';
import { fillTables, firstColumnAfter, tablesIn } from './docs/page-tables.ts';
import { referenceTables } from './docs/reference-tables.ts';

const root = dirname(import.meta.dirname);
const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');

async function filesLike(pattern: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const path of glob(pattern, { cwd: root, exclude: (name) => /node_modules|(^|\/)(dist|\.cache)$/.test(name) }))
    found.push(path);
  return found.toSorted();
}

/** Every page for readers, by its path. */
async function readPages(): Promise<ReadonlyMap<string, string>> {
  const paths = [...(await filesLike('*.md')), ...(await filesLike('docs/*.md')), ...(await filesLike('{packages,examples}/**/*.md'))];
  return new Map(await Promise.all(paths.map(async (path) => [path, await read(path)] as const)));
}

let pages: ReadonlyMap<string, string>;
const page = (path: string): string => pages.get(path) ?? expect.fail(`there is no page ${path}`);
beforeAll(async () => {
  pages = await readPages();
});

const staleHint = 'run "npm run docs", which writes the tables anew';

describe('the tables', () => {
  test('are what the code says', () => {
    const tables = { ...referenceTables(), metrics: '' };
    for (const [path, text] of pages) {
      if (path !== 'docs/metrics.md') expect(fillTables(text, tables), `${path}: ${staleHint}`).toBe(text);
    }
  });

  test('stand on one page each', () => {
    const placed = [...pages.values()].flatMap(tablesIn);
    expect(placed.toSorted()).toEqual([...Object.keys(referenceTables()), 'metrics'].toSorted());
  });

  test('that are written by hand name the fields that there are', async () => {
    let count = 0;
    for (const [path, text] of pages) {
      for (const { 1: area = '', 2: name = '', index } of text.matchAll(/<!-- fields: (\S+) (\S+) -->/g)) {
        expect(firstColumnAfter(text, index).toSorted(), `${path}: ${name}`).toEqual((await fieldsOf(area, name)).toSorted());
        count += 1;
      }
    }
    expect(count).toBeGreaterThan(10);
  });

  test('of errors hold each code, its verdict and its meaning', () => {
    const rows = [...page('docs/errors.md').matchAll(/^\| `([\w.]+)` \| (no|yes|unknown) \| (.*?) \| (.*) \|$/gm)];
    const shown = rows.map(([, code, executed, retried, meaning]) => [code, executed, retried !== '', meaning]);
    const known = Object.entries(errorCatalogue).map(([code, { executed, retry, meaning }]) => [
      code,
      executed,
      retry === 'route',
      meaning,
    ]);
    expect(shown).toEqual(known);
  });
});

/** The names of the own fields of an interface of a package. */
async function fieldsOf(area: string, name: string): Promise<readonly string[]> {
  const declaration = new RegExp(`^export interface ${name}\\b.*?\\{\\n(.*?)^\\}`, 'ms');
  for (const path of await filesLike(`packages/${area}/src/**/*.ts`)) {
    const body = declaration.exec(await read(path))?.[1];
    if (body !== undefined) return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field]) => field as string);
  }
  return expect.fail(`packages/${area} has no interface ${name}`);
}

describe('the metrics page', () => {
  test('lists what a run over NATS exports, no more and no less', async () => {
    const rows = await runForMetrics();
    const text = page('docs/metrics.md');
    expect(fillTables(text, { metrics: metricTable(rows) }), staleHint).toBe(text);
    const labels = new Set(rows.flatMap((row) => row.labels));
    const explained = firstColumnAfter(text, text.indexOf('## Labels'));
    expect(explained.toSorted()).toEqual([...labels].toSorted());
    const names = new Set(rows.map((row) => row.name));
    for (const [, name = ''] of text.matchAll(/`(perkey_\w+)`/g)) expect(names).toContain(name);
  });
});

describe('every page', () => {
  test('links only to what is there', () => {
    for (const [path, text] of pages) {
      for (const [, target = ''] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [file = '', anchor] = target.split('#');
        const linked = file === '' ? path : join(dirname(path), file);
        expect(existsSync(join(root, linked)), `${path} links to ${target}`).toBe(true);
        if (anchor !== undefined) expect(anchorsIn(page(linked)), `${path} links to ${target}`).toContain(anchor);
      }
    }
  });

  test('names no place that only the maker has', async () => {
    const texts = new Map(pages);
    for (const path of await filesLike('{packages,examples,bench,test,docs}/**/*.{ts,json,lua}')) texts.set(path, await read(path));
    for (const path of ['package.json', 'Taskfile.yml', '.npmrc', '.ci/run']) texts.set(path, await read(path));
    // Put together, so that this file does not name one itself.
    const machinePath = new RegExp(`(?<![\\w.*-])/(${['home', 'root', 'work', 'Users', 'mnt'].join('|')})/[\\w.]`);
    const registryHost = new RegExp(['registry\\.npmjs', 'artifactory', 'verdaccio', 'npm\\.pkg\\.'].join('|'), 'i');
    for (const [path, text] of texts) {
      expect(machinePath.exec(text)?.[0], `${path} holds a path of a machine`).toBeUndefined();
      if (path !== 'test/docs.test.ts') expect(registryHost.exec(text)?.[0], `${path} holds a host of a registry`).toBeUndefined();
    }
  });
});

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '');
}

function anchorsIn(text: string): readonly string[] {
  return [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe('the architecture page', () => {
  test('names files that there are', () => {
    for (const [, name = ''] of withoutCode(page('packages/README.md')).matchAll(/`([\w./-]+(?:\.ts|\/))`/g)) {
      const places = [join(root, 'packages', name), join(root, 'packages/core/src', name)];
      expect(places.some(existsSync), name).toBe(true);
    }
  });

  test('explains each number that the code cites', async () => {
    const explained = new Set<string>();
    for (const [, cell = ''] of page('packages/README.md').matchAll(/^\| ([IHF]\d+(?:, [IHF]\d+)*) \|/gm)) {
      for (const number of cell.split(', ')) explained.add(number);
    }
    const cited = new Map<string, string>();
    for (const path of await filesLike('packages/*/src/**/*.ts')) {
      for (const [number] of (await read(path)).matchAll(/\b[IHF]\d{1,2}\b/g)) cited.set(number, path);
    }
    expect([...cited].filter(([number]) => !explained.has(number))).toEqual([]);
    expect(cited.size).toBeGreaterThan(10);
  });
});

describe('the page on calls in JSON', () => {
  test('shows what its requests are answered with', async () => {
    await using server = await startNatsServer();
    await using node = await startNode({ cluster: 'demo', transport: nats({ servers: server.url }), actors: [counter], env: {} });
    expect(node.state).toBe('active');
    const caller = await connectRaw({ servers: server.url, reconnect: false });
    try {
      const blocks = codeBlocks(page('docs/foreign-calls.md'));
      let count = 0;
      for (const [index, { language, text }] of blocks.entries()) {
        const answer = blocks[index + 1];
        if (language !== 'sh' || answer?.language !== 'json') continue;
        const message = await request(caller, text);
        expect(message.json(), text).toEqual(JSON.parse(answer.text));
        const { code, executed } = message.json<{ code?: string; executed?: string }>();
        expect([message.headers?.get('Perkey-Error-Code') || undefined, message.headers?.get('Perkey-Executed') || undefined]).toEqual([
          code,
          executed,
        ]);
        count += 1;
      }
      expect(count).toBe(6);
    } finally {
      await caller.close();
    }
  });
});

/** Does what `nats req <subject> '<body>' -H '<name>: <value>'` does. */
function request(caller: NatsConnection, command: string): Promise<Msg> {
  const [, subject = '', body = '', , header] = /^nats req (\S+) '(.*?)'( -H '(.*)')?\n$/.exec(command) ?? expect.fail(command);
  const sent = headers();
  const [, name, value] = /^([\w-]+): (.*)$/.exec(header ?? '') ?? [];
  if (name !== undefined && value !== undefined) sent.set(name, value);
  return caller.request(subject, body, { headers: sent, timeout: 5_000 });
}
