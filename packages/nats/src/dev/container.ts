import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What is used of `testcontainers`, which is the user's to install. */
interface Testcontainers {
  readonly GenericContainer: new (image: string) => ContainerPlan;
  readonly Wait: { forLogMessage(message: RegExp): unknown };
}

interface ContainerPlan {
  withCommand(command: string[]): this;
  withExposedPorts(...ports: number[]): this;
  withWaitStrategy(strategy: unknown): this;
  withStartupTimeout(timeoutMs: number): this;
  start(): Promise<StartedContainer>;
}

interface StartedContainer {
  getHost(): string;
  getMappedPort(port: number): number;
  stop(): Promise<unknown>;
}

export interface NatsContainer {
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

const natsPort = 4222;
const engineTimeoutMs = 1_000;
/** Long, as the image may have to be fetched first. */
const startTimeoutMs = 120_000;

/** Why no container engine can be used here; undefined when one answers. Decided within about a second. */
export async function noContainerEngine(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const address = engineAddress(env);
  if (address === undefined) return 'no container engine: DOCKER_HOST is not set and there is no socket of one';
  const problem = await ping(address);
  return problem === undefined ? undefined : `the container engine at ${address} does not answer: ${problem}`;
}

/** Starts NATS with JetStream in a container; rejects with a plain reason. An engine must answer. */
export async function startNatsContainer(image: string): Promise<NatsContainer> {
  const { GenericContainer, Wait } = loadTestcontainers();
  const container = await new GenericContainer(image)
    .withCommand(['-js'])
    .withExposedPorts(natsPort)
    .withWaitStrategy(Wait.forLogMessage(/Server is ready/))
    .withStartupTimeout(startTimeoutMs)
    .start();
  const stop = async (): Promise<void> => void (await container.stop());
  return { host: container.getHost(), port: container.getMappedPort(natsPort), stop };
}

/** As the project of the working directory would import it, else as this package would. */
function loadTestcontainers(): Testcontainers {
  for (const from of [pathToFileURL(join(process.cwd(), 'package.json')), import.meta.url]) {
    try {
      return createRequire(from)('testcontainers') as Testcontainers;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error('the package testcontainers is not installed');
}

function engineAddress(env: NodeJS.ProcessEnv): string | undefined {
  if (env['DOCKER_HOST']) return env['DOCKER_HOST'];
  if (process.platform === 'win32') return 'npipe:////./pipe/docker_engine';
  const ofUser = env['XDG_RUNTIME_DIR'] ?? `/run/user/${process.getuid?.() ?? 0}`;
  const ofDesktop = join(homedir(), '.docker');
  const sockets = [
    '/var/run/docker.sock',
    join(ofUser, 'docker.sock'),
    join(ofDesktop, 'run/docker.sock'),
    join(ofDesktop, 'desktop/docker.sock'),
  ];
  const found = sockets.find((path) => existsSync(path));
  return found === undefined ? undefined : `unix://${found}`;
}

/** Any answer will do: an engine behind TLS refuses plain HTTP, but it is there. Resolves with the reason when none came. */
function ping(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const local = address.match(/^(?:unix|npipe):\/\/(.+)$/)?.[1];
    const remote = local === undefined && URL.canParse(address) ? new URL(address) : undefined;
    if (local === undefined && remote === undefined) return resolve('the address cannot be understood');
    const target = remote === undefined ? { socketPath: local } : { host: remote.hostname, port: remote.port || 2375 };
    const asking = request({ ...target, path: '/_ping', signal: AbortSignal.timeout(engineTimeoutMs) }, (answer) => {
      answer.destroy();
      resolve(undefined);
    });
    asking.on('error', (error) => resolve(error.name === 'TimeoutError' || error.name === 'AbortError' ? 'timed out' : error.message));
    asking.end();
  });
}
