import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Membership of a cluster of servers. Every server must name the others: JetStream refuses to start in a cluster without routes. */
export interface NatsClusterOptions {
  readonly name: string;
  /** The port for the other servers of the cluster. */
  readonly port: number;
  /** The cluster ports of all servers; one's own is left out by itself. */
  readonly routePorts: readonly number[];
}

export interface ServerConfig {
  readonly name: string;
  /** -1: the server picks a free one. */
  readonly port: number;
  readonly portsDir: string;
  /** Undefined: no JetStream. */
  readonly storeDir: string | undefined;
  readonly cluster: NatsClusterOptions | undefined;
  /** Appended as it is; a key that occurs twice has the value of its last place. */
  readonly extra: string;
}

/** The ports that a running server has written down. */
export interface ServerPorts {
  readonly client: number;
  readonly monitoring: number;
}

const host = '127.0.0.1';
const quoted = (text: string): string => JSON.stringify(text);

/** The configuration file's text. Everything listens on 127.0.0.1 only. */
export function renderServerConfig(config: ServerConfig): string {
  const lines = [
    `server_name: ${quoted(config.name)}`,
    `listen: ${quoted(`${host}:${config.port}`)}`,
    `http: ${quoted(`${host}:-1`)}`,
    `ports_file_dir: ${quoted(config.portsDir)}`,
  ];
  if (config.storeDir !== undefined) lines.push(`jetstream { store_dir: ${quoted(config.storeDir)} }`);
  const cluster = config.cluster;
  if (cluster !== undefined) {
    const routes = cluster.routePorts.filter((port) => port !== cluster.port).map((port) => quoted(`nats://${host}:${port}`));
    lines.push(`cluster { name: ${quoted(cluster.name)}, listen: ${quoted(`${host}:${cluster.port}`)}, routes: [${routes.join(', ')}] }`);
  }
  return `${lines.join('\n')}\n${config.extra}\n`;
}

/** Writes the file for one start, and clears away what an earlier run of the server has left behind of its ports. */
export async function writeServerConfig(file: string, config: ServerConfig): Promise<void> {
  await rm(config.portsDir, { recursive: true, force: true });
  await mkdir(config.portsDir, { recursive: true });
  await writeFile(file, renderServerConfig(config), { mode: 0o600 });
}

/** Undefined while the server has not written its ports yet, or not all of them. */
export async function readServerPorts(portsDir: string): Promise<ServerPorts | undefined> {
  const name = (await readdir(portsDir)).find((entry) => entry.endsWith('.ports'));
  if (name === undefined) return undefined;
  const text = await readFile(join(portsDir, name), 'utf8');
  try {
    const urls = JSON.parse(text) as { nats?: string[]; monitoring?: string[] };
    const client = portOf(urls.nats?.[0]);
    const monitoring = portOf(urls.monitoring?.[0]);
    return client === undefined || monitoring === undefined ? undefined : { client, monitoring };
  } catch {
    return undefined;
  }
}

function portOf(url: string | undefined): number | undefined {
  const digits = url?.match(/:(\d+)\/?$/)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
