import { natsServerFromArchive, startNatsServer } from '@perkey/nats/dev';

export interface TestServer {
  /** Such as `nats-server 2.9.10`. */
  readonly name: string;
  readonly binary: string;
}

/** The newest nats-server that any suite of the system's package archive holds, unpacked into the project's cache. Debian only. */
export function newestNatsServer(): Promise<string> {
  return natsServerFromArchive({ version: 'newest' });
}

/**
 * The servers that what stands on NATS is tested with: the system's, and the newest of its archive where that is another one and can be
 * had here. For `describe.each`.
 */
export async function testServers(): Promise<readonly TestServer[]> {
  const system = await describeServer(undefined);
  try {
    const newest = await describeServer(await newestNatsServer());
    return newest.name === system.name ? [system] : [system, newest];
  } catch (error) {
    console.warn(`only ${system.name} is tested: ${(error as Error).message}`);
    return [system];
  }
}

async function describeServer(binary: string | undefined): Promise<TestServer> {
  await using server = await startNatsServer({ binary, jetstream: false });
  return { name: `nats-server ${server.info.version}`, binary: server.binary };
}
