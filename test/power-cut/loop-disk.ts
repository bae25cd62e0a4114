import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether this machine lets the process make and mount a disk of its own. */
export const canMount: boolean = process.getuid?.() === 0 && existsSync('/dev/loop-control');

/**
 * A disk with ext4 in a file. Its file holds what was written to the disk: what a process wrote and nobody forced there is still in the memory of
 * the file system above it. A copy of the file is the disk as a loss of power would leave it.
 */
export class LoopDisk implements AsyncDisposable {
  readonly folder: string;
  readonly #root: string;
  readonly #mounted: string[] = [];

  private constructor(root: string) {
    this.#root = root;
    this.folder = join(root, 'disk');
  }

  static async make(megabytes: number): Promise<LoopDisk> {
    const disk = new LoopDisk(await mkdtemp(join(tmpdir(), 'perkey-power-cut-')));
    await run('truncate', ['-s', `${megabytes}M`, join(disk.#root, 'disk.img')]);
    await run('mkfs.ext4', ['-q', '-F', join(disk.#root, 'disk.img')]);
    await disk.#mount('disk');
    return disk;
  }

  /** Gives the folder under which the disk is found as the power went. */
  async cutPower(): Promise<string> {
    await copyFile(join(this.#root, 'disk.img'), join(this.#root, 'crash.img'));
    return this.#mount('crash');
  }

  /** From here on nothing can be written to the disk. */
  async makeReadOnly(): Promise<void> {
    await run('mount', ['-o', 'remount,ro', this.folder]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of this.#mounted.toReversed()) await run('umount', ['-l', folder]);
    await rm(this.#root, { recursive: true, force: true });
  }

  async #mount(name: string): Promise<string> {
    const folder = join(this.#root, name);
    await mkdir(folder);
    await run('mount', ['-o', 'loop', join(this.#root, `${name}.img`), folder]);
    this.#mounted.push(folder);
    return folder;
  }
}
