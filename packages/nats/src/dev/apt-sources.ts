import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One archive that the system takes packages from. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Path of a key file; undefined: the keys that the system trusts for all archives. */
  readonly signedBy: string | undefined;
}

/** The system's binary package sources, read from both forms of its lists; what cannot be understood is left out. */
export async function readAptSources(etcApt: string = '/etc/apt'): Promise<readonly AptSource[]> {
  const partsDir = join(etcApt, 'sources.list.d');
  const parts = await readdir(partsDir).catch(() => []);
  const files = [join(etcApt, 'sources.list'), ...parts.map((name) => join(partsDir, name))];
  const found: AptSource[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.sources')) found.push(...parseStanzas(text));
    else if (file.endsWith('.list')) found.push(...text.split('\n').flatMap(parseLine));
  }
  return found;
}

/** `deb [signed-by=/path arch=amd64] uri suite component...` */
function parseLine(line: string): readonly AptSource[] {
  const match = line.match(/^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/);
  if (match === null) return [];
  const [, options = '', uri = '', suite = '', components = ''] = match;
  return [{ uri, suite, components: words(components), signedBy: options.match(/signed-by=(\S+)/)?.[1] }];
}

/** Stanzas of `Field: value`, parted by empty lines; a value goes on in lines that begin with a space. */
function parseStanzas(text: string): readonly AptSource[] {
  const withoutComments = text.replaceAll(/^#.*\n?/gm, '');
  return withoutComments.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string): string => stanza.match(new RegExp(`^${name}:((?:.*)(?:\\n[ \\t].*)*)`, 'im'))?.[1]?.trim() ?? '';
    if (!words(field('Types')).includes('deb') || field('Enabled').toLowerCase() === 'no') return [];
    const keys = field('Signed-By');
    const shared = { components: words(field('Components')), signedBy: keys.startsWith('/') ? keys : undefined };
    return words(field('URIs')).flatMap((uri) => words(field('Suites')).map((suite) => ({ uri, suite, ...shared })));
  });
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
