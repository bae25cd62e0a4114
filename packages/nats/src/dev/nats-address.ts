import type { HostAndPort } from './server-info.ts';

/**
 * The addresses in a list as the NATS client takes it: `host`, `host:port` or `nats://user:password@host:port`, parted by commas.
 * Throws a plain Error that does not repeat credentials.
 */
export function parseNatsUrls(text: string): readonly HostAndPort[] {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) throw new Error('no address in it');
  return items.map(parseOne);
}

/** `host:port` of each address, without credentials; for messages. */
export function describeNatsUrls(addresses: readonly HostAndPort[]): string {
  return addresses.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)).join(',');
}

function parseOne(item: string): HostAndPort {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(item);
  const full = hasScheme ? item : `nats://${item}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || url.hostname === '') throw new Error('an address in it is not of the form nats://host:port');
  if (url.protocol !== 'nats:' && url.protocol !== 'tls:')
    throw new Error(`an address in it begins with ${url.protocol}//, which is not spoken here`);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: url.port === '' ? 4222 : Number(url.port) };
}
