import { createHash } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Runs `work` while no other process of this machine does so under the same name. Linux only: the lock is a listening socket without a
 * file, which the kernel takes back when its holder ends in any way, and those who wait are connected to it, so that its end wakes them.
 * Rejects when the lock was not free within `timeoutMs`.
 */
export async function withLock<T>(name: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const path = `\0perkey-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
  const giveUp = AbortSignal.timeout(timeoutMs);
  for (;;) {
    const holder = await tryHold(path);
    if (holder !== undefined) {
      try {
        return await work();
      } finally {
        holder.release();
      }
    }
    await untilReleased(path, giveUp);
    if (giveUp.aborted) throw new Error(`another process has held the lock of ${name} for ${timeoutMs} ms`);
  }
}

class Holder {
  readonly #server: Server;
  readonly #waiting = new Set<Socket>();

  constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#waiting.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#waiting.delete(socket));
    });
  }

  release(): void {
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
  }
}

function tryHold(path: string): Promise<Holder | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    const holder = new Holder(server);
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen({ path }, () => resolve(holder));
  });
}

/** Resolves when the holder is gone, when there was none, or when `giveUp` is aborted. */
function untilReleased(path: string, giveUp: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const abandon = (): void => void socket.destroy();
    giveUp.addEventListener('abort', abandon, { once: true });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      giveUp.removeEventListener('abort', abandon);
      resolve();
    });
    socket.resume();
  });
}
