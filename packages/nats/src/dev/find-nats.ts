import { PerkeyError } from '@perkey/core';
import { natsServerFromArchive } from './archive.ts';
import { noContainerEngine, startNatsContainer } from './container.ts';
import { findOnPath } from './find-on-path.ts';
import { describeNatsUrls, parseNatsUrls } from './nats-address.ts';
import { startNatsServer } from './nats-server.ts';
import { readServerInfo, type NatsServerInfo } from './server-info.ts';

/** Where a server came from, in the order in which they are tried. */
export type NatsSource = 'NATS_URL' | 'path' | 'archive' | 'container';

export interface FindNatsOptions {
  /** Address or addresses of a running server. Default: the environment's `NATS_URL`. When set, nothing else is tried. */
  readonly url?: string | undefined;
  /** Default: `process.env`. Read are `NATS_URL`, `PATH` and those of the container engine. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Where copies from the package archive are kept. Default: `.cache/nats-server` under the root of the working directory's project. */
  readonly cacheDir?: string | undefined;
  /** The ways to try when no address is set. Default: all three, always in the same order. */
  readonly ways?: readonly Exclude<NatsSource, 'NATS_URL'>[] | undefined;
  /** Image for the container. Default `nats:2`. */
  readonly containerImage?: string | undefined;
  /** How long a server with a known address may take to answer, in milliseconds. Default 2,000. */
  readonly answerTimeoutMs?: number | undefined;
}

export interface FoundNats extends AsyncDisposable {
  readonly source: NatsSource;
  /** For the client's `servers`; several addresses are parted by commas. */
  readonly url: string;
  readonly info: NatsServerInfo;
  /** The program's path or the image's name; undefined for a server that already ran. */
  readonly program: string | undefined;
  /** Ends the server if it was started here, and removes its files. May be called again. */
  stop(): Promise<void>;
}

type Started = Omit<FoundNats, typeof Symbol.asyncDispose>;

const answerTimeoutMsDefault = 2_000;
const containerImageDefault = 'nats:2';

/**
 * Finds a NATS server with JetStream, or starts one that lives as long as this process at most. In this order: the address in `url` or
 * `NATS_URL`; `nats-server` on the PATH; a private copy from the system's package archive; a container.
 * Rejects with `transport.connect_timeout` when an address is set and nothing answers there, else with `nats_server.not_found` and each way's reason.
 */
export async function findNats(options: FindNatsOptions = {}): Promise<FoundNats> {
  const env = options.env ?? process.env;
  const url = options.url ?? env['NATS_URL'];
  if (url !== undefined && url.trim() !== '') return disposable(await checkRunning(url.trim(), options));
  const ways = {
    path: () => startFromPath(env),
    archive: () => startFromArchive(options),
    container: () => startInContainer(options, env),
  };
  const failures: string[] = ['NATS_URL: not set'];
  for (const way of ['path', 'archive', 'container'] as const) {
    if (options.ways !== undefined && !options.ways.includes(way)) continue;
    try {
      return disposable(await ways[way]());
    } catch (error) {
      failures.push(`${way}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const list = failures.map((failure) => `  ${failure}`).join('\n');
  throw new PerkeyError('nats_server.not_found', `No NATS server was found and none could be started.\n${list}\n${howToGetNats()}`);
}

function disposable(found: Started): FoundNats {
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= found.stop());
  return { ...found, stop, [Symbol.asyncDispose]: stop };
}

async function checkRunning(url: string, options: FindNatsOptions): Promise<Started> {
  const name = options.url === undefined ? 'NATS_URL' : 'url';
  const addresses = readAddresses(name, url);
  const timeoutMs = options.answerTimeoutMs ?? answerTimeoutMsDefault;
  const problems: string[] = [];
  for (const address of addresses) {
    try {
      const info = await readServerInfo(address, timeoutMs);
      return { source: 'NATS_URL', url, info, program: undefined, stop: async () => undefined };
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  const server = describeNatsUrls(addresses);
  const message = `the NATS server ${server}, set by ${name}, does not answer: ${problems.join('; ')}`;
  throw new PerkeyError('transport.connect_timeout', message, { details: { server } });
}

function readAddresses(name: string, url: string): ReturnType<typeof parseNatsUrls> {
  try {
    return parseNatsUrls(url);
  } catch (error) {
    throw new PerkeyError('options.invalid', `${name} cannot be used: ${(error as Error).message}`);
  }
}

async function startFromPath(env: NodeJS.ProcessEnv): Promise<Started> {
  const program = await findOnPath('nats-server', env);
  if (program === undefined) throw new Error('nats-server is not on the PATH');
  return startProgram('path', program);
}

async function startFromArchive(options: FindNatsOptions): Promise<Started> {
  return startProgram('archive', await natsServerFromArchive({ cacheDir: options.cacheDir }));
}

async function startProgram(source: NatsSource, program: string): Promise<Started> {
  const server = await startNatsServer({ binary: program });
  return { source, url: server.url, info: server.info, program, stop: () => server.stop() };
}

async function startInContainer(options: FindNatsOptions, env: NodeJS.ProcessEnv): Promise<Started> {
  const problem = await noContainerEngine(env);
  if (problem !== undefined) throw new Error(problem);
  const image = options.containerImage ?? containerImageDefault;
  const container = await startNatsContainer(image);
  try {
    const address = { host: container.host, port: container.port };
    const info = await readServerInfo(address, options.answerTimeoutMs ?? answerTimeoutMsDefault);
    return { source: 'container', url: `nats://${describeNatsUrls([address])}`, info, program: image, stop: () => container.stop() };
  } catch (error) {
    await container.stop();
    throw error;
  }
}

function howToGetNats(): string {
  const install = { linux: 'apt-get install nats-server (Debian, Ubuntu)', darwin: 'brew install nats-server' }[process.platform as string];
  const first = install === undefined ? 'Install nats-server 2.9 or newer' : `Install nats-server 2.9 or newer: ${install}`;
  return `${first}; or set NATS_URL to a running server with JetStream.`;
}
