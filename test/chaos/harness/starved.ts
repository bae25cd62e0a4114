import { existsSync } from 'node:fs';
import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const periodUs = 100_000;

/** A control group that gives a process only a part of one processor. */
export class Starved implements AsyncDisposable {
  readonly #folder: string;
  readonly #root: string;
  readonly #pid: number;

  private constructor(root: string, folder: string, pid: number) {
    this.#root = root;
    this.#folder = folder;
    this.#pid = pid;
  }

  /** Undefined where this machine does not allow it. */
  static async start(pid: number, percent: number): Promise<Starved | undefined> {
    const isOld = existsSync('/sys/fs/cgroup/cpu/cpu.cfs_quota_us') || existsSync('/sys/fs/cgroup/cpu/cgroup.procs');
    const root = isOld ? '/sys/fs/cgroup/cpu' : '/sys/fs/cgroup';
    const folder = join(root, `perkey-${process.pid}-${pid}`);
    const quotaUs = Math.round((periodUs * percent) / 100);
    try {
      await mkdir(folder);
      if (isOld) {
        await writeFile(join(folder, 'cpu.cfs_period_us'), String(periodUs));
        await writeFile(join(folder, 'cpu.cfs_quota_us'), String(quotaUs));
      } else await writeFile(join(folder, 'cpu.max'), `${quotaUs} ${periodUs}`);
      await writeFile(join(folder, 'cgroup.procs'), String(pid));
      return new Starved(root, folder, pid);
    } catch {
      await rmdir(folder).catch(() => undefined);
      return undefined;
    }
  }

  /** Gives the process all it wants again. */
  async end(): Promise<void> {
    await writeFile(join(this.#root, 'cgroup.procs'), String(this.#pid)).catch(() => undefined);
    await rmdir(this.#folder).catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}
