import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const megabyte = 1_048_576;

/** A small file system in a file, which can be filled. */
export class LoopDisk implements AsyncDisposable {
  readonly folder: string;
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
    this.folder = join(root, 'disk');
  }

  /** Undefined where this machine does not allow it. */
  static async open(megabytes: number): Promise<LoopDisk | undefined> {
    const disk = new LoopDisk(await mkdtemp(join(tmpdir(), 'perkey-disk-')));
    const image = disk.#image;
    try {
      await writeFile(image, '');
      await truncate(image, megabytes * megabyte);
      await mkdir(disk.folder);
      await run('mkfs.ext4', ['-q', '-m', '0', image]);
      await disk.#mount();
      return disk;
    } catch {
      await disk[Symbol.asyncDispose]();
      return undefined;
    }
  }

  /** Leaves no room. */
  async fill(): Promise<void> {
    const file = await open(this.#ballast, 'a');
    try {
      for (let size = megabyte; size >= 512;) {
        try {
          await file.write(Buffer.alloc(size, 1));
        } catch {
          size /= 2;
        }
      }
      await file.sync().catch(() => undefined);
    } finally {
      await file.close();
    }
  }

  /** Makes room again. */
  async free(): Promise<void> {
    await rm(this.#ballast, { force: true });
  }

  /** What a loss of power at this moment would leave, for `revert`. Whoever writes there must stand still meanwhile. */
  async photograph(): Promise<void> {
    await run('cp', ['--sparse=always', this.#image, `${this.#image}.cut`]);
  }

  /** Power is lost, and comes back: the disk is what it was at `photograph`. Nobody may have a file open there. */
  async revert(): Promise<void> {
    await run('umount', [this.folder]);
    await rename(`${this.#image}.cut`, this.#image);
    await this.#mount();
  }

  async #mount(): Promise<void> {
    await run('mount', ['-o', 'loop', this.#image, this.folder]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', [this.folder]).catch(() => run('umount', ['-l', this.folder]).catch(() => undefined));
    await rm(this.#root, { recursive: true, force: true }).catch(() => undefined);
  }

  get #image(): string {
    return join(this.#root, 'image');
  }

  get #ballast(): string {
    return join(this.folder, 'ballast');
  }
}
