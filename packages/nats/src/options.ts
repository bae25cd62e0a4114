import { PerkeyError, resolveOptions, safeText } from '@perkey/core';
import type { OptionTable, ResolvedOptions } from '@perkey/core';
import { DialTurns } from './dial-turns.ts';

const inboxForm: RegExp = /[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*/;

type NumberOption = Extract<OptionTable[string], { readonly kind: 'integer' | 'number' }>;
type TextOption = Extract<OptionTable[string], { readonly kind: 'text' }>;
export type NatsOptionTable = Readonly<
  Record<Exclude<keyof NatsLimits, 'inboxPrefix' | 'principal'>, NumberOption> & Record<'inboxPrefix' | 'principal', TextOption>
>;

/** The numbers and texts of the transport, for the configuration page. */
export const natsOptionTable: NatsOptionTable = {
  replicas: {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 5,
    env: 'PERKEY_NATS_REPLICAS',
    help: 'How many NATS servers hold each of the two buckets. Counts when a bucket is created; an existing one is left as it is.',
  },
  historyMax: {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 64,
    help: 'How many past values of a record a new bucket keeps; more than 1 is for tests.',
  },
  storeTimeoutMs: {
    kind: 'integer',
    default: 1_500,
    min: 50,
    max: 60_000,
    unit: 'ms',
    help: 'How long one read or write of a record may take.',
  },
  dialTimeoutMs: {
    kind: 'integer',
    default: 2_000,
    min: 100,
    max: 60_000,
    unit: 'ms',
    help: 'How long one attempt to connect to one server may take.',
  },
  pingIntervalMs: { kind: 'integer', default: 1_000, min: 100, max: 600_000, unit: 'ms', help: 'How often an idle connection is tested.' },
  pingsUnansweredMax: { kind: 'integer', default: 2, min: 1, max: 100, help: 'A connection with this many unanswered tests is dropped.' },
  outboundBytesMax: {
    kind: 'integer',
    default: 67_108_864,
    min: 1_048_576,
    max: 4_294_967_296,
    unit: 'bytes',
    help: 'A connection on which more than this waits to be written is dropped: its server does not read.',
  },
  inboxPrefix: {
    kind: 'text',
    default: '_INBOX',
    min: 1,
    max: 64,
    form: { pattern: inboxForm, meaning: 'tokens of A-Z a-z 0-9 _ - with dots between' },
    help: 'Where the control connection takes the answers of the server; private where permissions are set per process.',
  },
  principal: {
    kind: 'text',
    default: '',
    min: 0,
    max: 64,
    form: { pattern: /[A-Za-z0-9_-]*/, meaning: 'a name of A-Z a-z 0-9 _ -' },
    help: 'A name in the subjects of this process that the permissions of its user bind it to, so that nodes know who calls and nobody else reads its answers. Empty: none.',
  },
};

/** What each is, and its bounds: `natsOptionTable`. */
export interface NatsLimits {
  readonly replicas?: number | undefined;
  readonly historyMax?: number | undefined;
  readonly storeTimeoutMs?: number | undefined;
  readonly dialTimeoutMs?: number | undefined;
  readonly pingIntervalMs?: number | undefined;
  readonly pingsUnansweredMax?: number | undefined;
  readonly outboundBytesMax?: number | undefined;
  readonly inboxPrefix?: string | undefined;
  readonly principal?: string | undefined;
}

/** As the client library takes them. `{}` insists on TLS with the system's authorities; files are read at each connect. */
export interface NatsTlsOptions {
  readonly ca?: string;
  readonly caFile?: string;
  readonly cert?: string;
  readonly certFile?: string;
  readonly key?: string;
  readonly keyFile?: string;
  /** TLS before the server says anything; the server must be configured so. */
  readonly handshakeFirst?: boolean;
}

/** At most one of: user with pass, token, nkey, creds. */
export interface NatsCredentials {
  readonly user?: string | undefined;
  readonly pass?: string | undefined;
  readonly token?: string | undefined;
  /** The seed (`SU...`) of a user nkey. */
  readonly nkey?: string | undefined;
  /** The contents of a credentials file (JWT and nkey seed). */
  readonly creds?: string | undefined;
}

export interface NatsOptions extends NatsLimits, NatsCredentials {
  /** `host:port` or `nats://host:port`, also `tls://`. Default: the environment's NATS_URL (commas between several), else 127.0.0.1:4222. */
  readonly servers?: string | readonly string[] | undefined;
  /** Of a node's second connection, which alone needs rights on the buckets. Default: the same as of the first. */
  readonly control?: NatsCredentials | undefined;
  readonly tls?: NatsTlsOptions | undefined;
  /** How connections call themselves to the server; default `perkey`. */
  readonly name?: string | undefined;
}

export interface Credentials {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  readonly nkey?: string;
  readonly creds?: string;
}

/** Without question marks. `servers` holds no credentials and is safe to log. */
export interface ResolvedNats {
  /** Shared by the connections of one transport. */
  readonly turns: DialTurns;
  readonly servers: readonly string[];
  readonly credentials: Credentials;
  readonly controlCredentials: Credentials;
  readonly tls: NatsTlsOptions | undefined;
  readonly name: string;
  readonly limits: ResolvedOptions<NatsOptionTable>;
  /** Versions of servers of which it was said what they lack: once for all links of a transport. */
  readonly versionsNoted: Set<string>;
}

const credentialNames = ['user', 'pass', 'token', 'nkey', 'creds'] as const;
const ownNames = [...credentialNames, 'servers', 'control', 'tls', 'name'];

/** Throws `options.invalid`; no message holds a credential. */
export function resolveNats(options: NatsOptions, env: Readonly<Record<string, string | undefined>>): ResolvedNats {
  const numbers: Record<string, unknown> = { ...options };
  for (const name of ownNames) delete numbers[name];
  const limits = resolveOptions(natsOptionTable, numbers as NatsLimits, env);
  const fromEnvironment = env['NATS_URL'] ? env['NATS_URL'].split(',') : ['127.0.0.1:4222'];
  const texts =
    options.servers === undefined ? fromEnvironment : typeof options.servers === 'string' ? options.servers.split(',') : options.servers;
  if (texts.length === 0) throw invalid('servers', 'must hold at least one server');
  const parsed = texts.map(parseServer);
  const inUrl = parsed.find(({ credentials }) => credentials !== undefined)?.credentials;
  const given = givenCredentials(options);
  const credentials = Object.keys(given).length > 0 ? given : (inUrl ?? {});
  return {
    servers: parsed.map(({ address }) => address),
    credentials,
    controlCredentials: options.control === undefined ? credentials : controlCredentials(options.control),
    tls: options.tls ?? (parsed.some(({ tls }) => tls) ? {} : undefined),
    name: options.name ?? 'perkey',
    limits,
    turns: new DialTurns(),
    versionsNoted: new Set(),
  };
}

function invalid(option: string, what: string): PerkeyError {
  return new PerkeyError('options.invalid', `option ${option} ${what}`, { details: { option } });
}

function controlCredentials(control: NatsCredentials): Credentials {
  const stranger = Object.keys(control).find((name) => !(credentialNames as readonly string[]).includes(name));
  if (stranger !== undefined) throw invalid('control', `holds "${safeText(stranger)}"; it takes ${credentialNames.join(', ')}`);
  return givenCredentials(control);
}

function givenCredentials(options: NatsCredentials): Credentials {
  const found: Record<string, string> = {};
  for (const name of credentialNames) {
    const value: unknown = options[name];
    if (value === undefined) continue;
    if (typeof value !== 'string' || value === '') throw invalid(name, 'must be text that is not empty');
    found[name] = value;
  }
  if (found['pass'] !== undefined && found['user'] === undefined) throw invalid('pass', 'needs option user');
  const ways = ['user', 'token', 'nkey', 'creds'].filter((name) => found[name] !== undefined);
  if (ways.length > 1) throw invalid(ways.join(' and '), 'exclude each other');
  return found;
}

interface ParsedServer {
  readonly address: string;
  readonly tls: boolean;
  readonly credentials: Credentials | undefined;
}

const serverPattern = /^(?:(nats|tls):\/\/)?(?:([^@/]*)@)?((?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?)\/?$/;

function parseServer(text: unknown): ParsedServer {
  const match = typeof text === 'string' ? serverPattern.exec(text.trim()) : null;
  const port = match?.[4] === undefined ? 4222 : Number(match[4]);
  if (match?.[3] === undefined || port < 1 || port > 65_535) {
    const shown = typeof text === 'string' ? text.replace(/^(.*:\/\/)?[^/]*@/, '$1') : text;
    throw invalid('servers', `holds "${safeText(shown)}", which is not host:port or nats://host:port`);
  }
  const address = match[4] === undefined ? `${match[3]}:4222` : match[3];
  return { address, tls: match[1] === 'tls', credentials: match[2] ? urlCredentials(match[2]) : undefined };
}

function urlCredentials(userInfo: string): Credentials {
  const colon = userInfo.indexOf(':');
  try {
    if (colon < 0) return { token: decodeURIComponent(userInfo) };
    return { user: decodeURIComponent(userInfo.slice(0, colon)), pass: decodeURIComponent(userInfo.slice(colon + 1)) };
  } catch {
    throw invalid('servers', 'holds credentials that are not percent-encoded');
  }
}
