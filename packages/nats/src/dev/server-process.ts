import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { GuardedChild } from './guarded-child.ts';
import { runProgram } from './run-program.ts';
import { readServerPorts } from './server-config.ts';
import { readServerInfo, type NatsServerInfo } from './server-info.ts';

export interface Answer {
  readonly port: number;
  readonly monitoringPort: number;
  readonly info: NatsServerInfo;
}

/** Time between two looks at what a starting server has written, and the longest wait for a graceful end. */
const pollMs = 10;
const endTimeoutMs = 5_000;

/** The server writes down the ports that it has got once it listens; that it answers there is what makes it ready. */
export async function untilAnswer(child: GuardedChild, portsDir: string, deadline: number): Promise<Answer> {
  for (;;) {
    if (child.exit !== undefined) throw new Error(`it ended at once (${child.exit.signal ?? child.exit.code})`);
    const ports = await readServerPorts(portsDir);
    const leftMs = Math.ceil(deadline - performance.now());
    if (leftMs <= 0) throw new Error('it did not listen in time');
    if (ports === undefined) {
      await delay(pollMs);
      continue;
    }
    const info = await readServerInfo({ host: '127.0.0.1', port: ports.client }, leftMs);
    return { port: ports.client, monitoringPort: ports.monitoring, info };
  }
}

/** Waits for the end; what does not end gracefully in time is killed. A frozen child must go on to see a SIGTERM. */
export async function endChild(child: GuardedChild, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const timer = setTimeout(() => child.signal('SIGKILL'), endTimeoutMs);
  child.signal(signal);
  child.signal('SIGCONT');
  await child.ended();
  clearTimeout(timer);
}

/** The signal is only on its way when it was sent: threads run on until each has seen it. */
export async function isStopped(pid: number): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => undefined);
  if (tasks === undefined) return (await runProgram('ps', ['-o', 'stat=', '-p', String(pid)], { timeoutMs: 1_000 })).stdout.includes('T');
  const stats = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/stat`, 'utf8').catch(() => '')));
  return stats.every((stat) => stat === '' || / T \d/.test(stat.slice(stat.lastIndexOf(')'))));
}
