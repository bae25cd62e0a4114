import { execFile } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem, type as osType } from 'node:os';
import { promisify } from 'node:util';

/** Where and when a figure was measured. */
export interface Machine {
  readonly date: string;
  readonly cores: number;
  readonly cpu: string;
  readonly memory_gb: number;
  readonly os: string;
  readonly node: string;
  /** `null` where none is on the PATH. */
  readonly nats_server: string | null;
}

export async function machine(): Promise<Machine> {
  return {
    date: new Date().toISOString(),
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memory_gb: Math.round(totalmem() / 2 ** 30),
    os: `${osType()} ${release()}`,
    node: process.versions.node,
    nats_server: await natsServerVersion(),
  };
}

async function natsServerVersion(): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('nats-server', ['--version']);
    return /v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null;
  }
}
