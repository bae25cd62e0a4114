import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readAptSources } from './apt-sources.ts';

async function withEtcApt(files: Record<string, string>, check: (etcApt: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'perkey-etc-apt-'));
  try {
    await mkdir(join(dir, 'sources.list.d'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
    await check(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('lines: options, comments and source packages', async () => {
  const text = [
    '# deb http://off.example/debian old main',
    'deb http://one.example/debian bookworm main contrib # why',
    'deb-src http://one.example/debian bookworm main',
    'deb [arch=amd64 signed-by=/keys/two.gpg] http://two.example/d stable main',
  ].join('\n');
  await withEtcApt({ 'sources.list': text }, async (dir) => {
    expect(await readAptSources(dir)).toEqual([
      { uri: 'http://one.example/debian', suite: 'bookworm', components: ['main', 'contrib'], signedBy: undefined },
      { uri: 'http://two.example/d', suite: 'stable', components: ['main'], signedBy: '/keys/two.gpg' },
    ]);
  });
});

test('stanzas: several suites, comments between fields, values over lines, stanzas that are off', async () => {
  const text = `Types: deb deb-src
# a comment in the middle
URIs: http://one.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /keys/one.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://two.example/debian
Suites: sid
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
`;
  await withEtcApt({ 'sources.list.d/a.sources': text, 'sources.list.d/b.sources.save': text }, async (dir) => {
    expect(await readAptSources(dir)).toEqual([
      { uri: 'http://one.example/debian', suite: 'bookworm', components: ['main'], signedBy: '/keys/one.gpg' },
      { uri: 'http://one.example/debian', suite: 'bookworm-updates', components: ['main'], signedBy: '/keys/one.gpg' },
      { uri: 'http://two.example/debian', suite: 'sid', components: ['main'], signedBy: undefined },
    ]);
  });
});

test('no lists at all is no source', async () => {
  expect(await readAptSources('/no/such/folder')).toEqual([]);
});
