import { nkeys } from '@nats-io/transport-node';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority of one's own, made with the openssl program, in a folder that is removed at the end. */
export class Authority implements AsyncDisposable {
  readonly caFile: string;
  readonly ca: string;
  readonly #dir: string;

  constructor(dir: string, ca: string) {
    this.#dir = dir;
    this.caFile = join(dir, 'ca.pem');
    this.ca = ca;
  }

  /** `names`: as in a certificate, such as `IP:127.0.0.1` or `DNS:localhost`. */
  async issue(name: string, names: string): Promise<Certificate> {
    const [certFile, keyFile, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) => join(this.#dir, `${name}.${end}`)) as [
      string,
      string,
      string,
      string,
    ];
    await writeFile(extensions, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    await run('openssl', [
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      keyFile,
      '-out',
      request,
    ]);
    const caKey = join(this.#dir, 'ca.key');
    await run('openssl', [
      'x509',
      '-req',
      '-in',
      request,
      '-CA',
      this.caFile,
      '-CAkey',
      caKey,
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      extensions,
      '-out',
      certFile,
    ]);
    return { certFile, keyFile, cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }
}

export async function makeAuthority(): Promise<Authority> {
  const dir = await mkdtemp(join(tmpdir(), 'perkey-ca-'));
  const caFile = join(dir, 'ca.pem');
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  await run('openssl', [
    'req',
    '-x509',
    ...curve,
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
    '-keyout',
    join(dir, 'ca.key'),
    '-out',
    caFile,
  ]);
  return new Authority(dir, await readFile(caFile, 'utf8'));
}

export interface UserKey {
  readonly seed: string;
  readonly publicKey: string;
}

export function makeUserKey(): UserKey {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

type KeyPair = ReturnType<typeof nkeys.createUser>;

function signedClaims(issuer: KeyPair, subject: KeyPair, name: string, nats: object): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { jti: name, iat: 1_700_000_000, iss: issuer.getPublicKey(), sub: subject.getPublicKey(), name, nats };
  const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`;
}

/** An operator with one account and one user: the configuration for the server, and the contents of the user's credentials file. */
export function makeOperator(): { readonly config: string; readonly creds: string; readonly strangerCreds: string } {
  const [operator, account, stranger] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
  const limits = { subs: -1, conn: -1, leaf: -1, imports: -1, exports: -1, data: -1, payload: -1, wildcards: true };
  const operatorJwt = signedClaims(operator, operator, 'operator', { type: 'operator', version: 2 });
  const accountJwt = signedClaims(operator, account, 'account', { type: 'account', version: 2, limits });
  const credsOf = (issuer: KeyPair): string => {
    const user = nkeys.createUser();
    const jwt = signedClaims(issuer, user, 'user', { type: 'user', version: 2, pub: {}, sub: {}, subs: -1, data: -1, payload: -1 });
    const seed = new TextDecoder().decode(user.getSeed());
    return `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
  };
  const config = `operator: ${operatorJwt}\nresolver: MEMORY\nresolver_preload: { ${account.getPublicKey()}: ${accountJwt} }`;
  return { config, creds: credsOf(account), strangerCreds: credsOf(stranger) };
}
