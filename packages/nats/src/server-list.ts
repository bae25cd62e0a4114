import type { Random } from '@perkey/core';

/** The servers in turn: the configured ones, from a random one on, then those that the server last told of. */
export class ServerList {
  readonly #configured: readonly string[];
  #told: readonly string[] = [];
  #turn: number;

  constructor(configured: readonly string[], random: Random) {
    this.#configured = configured;
    this.#turn = Math.floor(random.next() * configured.length);
  }

  get all(): readonly string[] {
    return [...this.#configured, ...this.#told];
  }

  next(): string {
    const all = this.all;
    const server = all[this.#turn % all.length] as string;
    this.#turn = (this.#turn + 1) % all.length;
    return server;
  }

  /** What a server says of its cluster. Unknown addresses are added behind the configured ones; at most 16. */
  learn(urls: readonly string[] | undefined): void {
    this.#told = (urls ?? []).filter((url) => !this.#configured.includes(url)).slice(0, 16);
  }
}
