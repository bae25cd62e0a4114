import { connect, type ConnectionOptions, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import type { NatsOptions } from '@perkey/nats';
import { type NatsServer, startNatsServer } from '@perkey/nats/dev';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Authority, type Certificate, makeAuthority, makeUserKey, type UserKey } from '../nats-credentials.ts';

export const template: string = join(import.meta.dirname, '../../examples/nats/secure.conf');

const users = ['node', 'control', 'store', 'web', 'batch', 'billing', 'observer'] as const;
export type SecuredUser = (typeof users)[number];

export interface SecuredOptions {
  readonly binary?: string | undefined;
  /** A second account for a cluster named "other", made of the first by its name alone. */
  readonly withOther?: boolean;
}

/** A server that runs the template as it is; only where it listens and stores is the test's. */
export class SecuredServer implements AsyncDisposable {
  readonly server: NatsServer;
  readonly authority: Authority;
  readonly certificate: Certificate;
  readonly #keys: ReadonlyMap<string, UserKey>;
  readonly #storeDir: string;
  readonly #open: NatsConnection[] = [];

  private constructor(
    server: NatsServer,
    authority: Authority,
    certificate: Certificate,
    keys: ReadonlyMap<string, UserKey>,
    storeDir: string,
  ) {
    this.server = server;
    this.authority = authority;
    this.certificate = certificate;
    this.#keys = keys;
    this.#storeDir = storeDir;
  }

  static async start({ binary, withOther = false }: SecuredOptions = {}): Promise<SecuredServer> {
    const authority = await makeAuthority();
    const of = await authority.issue('server', 'IP:127.0.0.1,DNS:localhost');
    const certificate = await authority.issue('member', 'DNS:member');
    const keys = new Map<string, UserKey>();
    const clusters = withOther ? ['demo', 'other'] : ['demo'];
    for (const cluster of clusters) for (const user of users) keys.set(`${cluster} ${user}`, makeUserKey());
    const env: Record<string, string> = { PERKEY_TLS_CERT: of.certFile, PERKEY_TLS_KEY: of.keyFile, PERKEY_TLS_CA: authority.caFile };
    for (const [name, { publicKey }] of keys) {
      const [cluster = '', user = ''] = name.split(' ');
      env[`${cluster === 'demo' ? 'PERKEY' : 'OTHER'}_${user.toUpperCase()}`] = publicKey;
    }
    Object.assign(process.env, env);
    const storeDir = await mkdtemp(join(tmpdir(), 'perkey-secured-'));
    const text = await readFile(template, 'utf8');
    const here = `\nlisten: "127.0.0.1:-1"\nhttp: "127.0.0.1:-1"\njetstream { store_dir: ${JSON.stringify(storeDir)} }\n`;
    try {
      const server = await startNatsServer({ binary, config: `${withOther ? withSecondAccount(text) : text}${here}` });
      return new SecuredServer(server, authority, certificate, keys, storeDir);
    } finally {
      for (const name of Object.keys(env)) Reflect.deleteProperty(process.env, name);
    }
  }

  get tls(): NonNullable<NatsOptions['tls']> {
    const { ca } = this.authority;
    return { ca, cert: this.certificate.cert, key: this.certificate.key };
  }

  seed(user: SecuredUser, cluster = 'demo'): string {
    const key = this.#keys.get(`${cluster} ${user}`);
    if (key === undefined) throw new Error(`${cluster} has no user ${user}`);
    return key.seed;
  }

  /** What a node of the cluster gives to `nats()`. */
  forNode(cluster = 'demo'): NatsOptions {
    const control = { nkey: this.seed('control', cluster) };
    return { ...this.#at(), nkey: this.seed('node', cluster), control, principal: 'node', inboxPrefix: `_CONTROL.${cluster}` };
  }

  /** What a node of the cluster gives to `jetstream()`. */
  forStore(cluster = 'demo'): NatsOptions {
    return { ...this.#at(), nkey: this.seed('store', cluster), inboxPrefix: `_STORE.${cluster}` };
  }

  forClient(user: 'web' | 'batch', cluster = 'demo'): NatsOptions {
    return { ...this.#at(), nkey: this.seed(user, cluster), principal: user };
  }

  /** A connection of somebody who does not run Perkey, or runs something else under its name. */
  async raw(user: SecuredUser, cluster = 'demo', more: ConnectionOptions = {}): Promise<NatsConnection> {
    const inboxPrefix =
      ({ control: `_CONTROL.${cluster}`, store: `_STORE.${cluster}` } as Partial<Record<SecuredUser, string>>)[user] ?? `_INBOX.${user}`;
    const authenticator = nkeyAuthenticator(new TextEncoder().encode(this.seed(user, cluster)));
    const opened = await connect({
      servers: this.#at().servers,
      tls: { ...this.tls },
      reconnect: false,
      authenticator,
      inboxPrefix,
      ...more,
    });
    this.#open.push(opened);
    return opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map((one) => one.close()));
    await this.server.stop();
    await rm(this.#storeDir, { recursive: true, force: true });
    await this.authority[Symbol.asyncDispose]();
  }

  #at(): { readonly servers: string; readonly tls: NonNullable<NatsOptions['tls']> } {
    return { servers: `127.0.0.1:${this.server.port}`, tls: this.tls };
  }
}

function withSecondAccount(text: string): string {
  const start = text.indexOf('accounts {\n') + 'accounts {\n'.length;
  const account = text.slice(start, text.lastIndexOf('}'));
  const other = account.replaceAll('demo', 'other').replaceAll('$PERKEY_', '$OTHER_');
  return `${text.slice(0, start)}${account}${other}}\n`;
}

/** What the server says to a publish: '' where it takes it. */
export async function publishRefusal(nats: NatsConnection, subject: string, body = '', reply = ''): Promise<string> {
  return refusalOf(nats, () => nats.publish(subject, body, reply === '' ? {} : { reply }));
}

/** What the server says to a subscription: '' where it takes it. */
export async function subscribeRefusal(nats: NatsConnection, subject: string, queue = ''): Promise<string> {
  return refusalOf(nats, () => {
    const subscription = nats.subscribe(subject, { callback: () => {}, ...(queue === '' ? {} : { queue }) });
    void nats.flush().then(() => subscription.unsubscribe());
  });
}

async function refusalOf(nats: NatsConnection, act: () => void): Promise<string> {
  const status = nats.status();
  const said: string[] = [];
  const following = (async () => {
    for await (const one of status) if (one.type === 'error') said.push(one.error.message);
  })();
  act();
  await nats.flush();
  await nats.flush();
  (status as unknown as { stop(): void }).stop();
  await following;
  return said.join();
}
