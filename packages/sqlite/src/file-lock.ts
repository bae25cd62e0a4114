import { DatabaseSync } from 'node:sqlite';
import { faultOf, UnusableFile } from './file-fault.ts';

/**
 * Keeps a second store from the file, in this process or another, for as long as this one has it. It is SQLite's own lock, held on an empty file
 * beside the store: the operating system gives it up with the process, however that ends, and the store itself stays open to readers.
 */
export class FileLock {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** `path` without links. Throws `UnusableFile` when another holds the lock. */
  static take(path: string): FileLock {
    const database = new DatabaseSync(`${path}-lock`, { timeout: 0 });
    try {
      // Nothing is ever written here, so no journal has to lie beside it.
      database.exec('pragma journal_mode = memory; begin exclusive');
      return new FileLock(database);
    } catch (error) {
      database.close();
      if (faultOf(error).reason !== 'locked') throw error;
      throw new UnusableFile('locked', `${path} is in use by another process, or by another store of this one; a file belongs to one node`);
    }
  }

  release(): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
