import {
  noMetrics,
  systemClock,
  systemRandom,
  type Address,
  type ControlLink,
  type DataLink,
  type LinkEnvironment,
  type Logger,
  type Metrics,
  type Via,
} from '@perkey/core';
import { nats, type NatsOptions } from '@perkey/nats';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: object;
}

/** Keeps each line, so that tests can look for what must be said and for what must not. */
export class LogKeeper implements Logger {
  readonly lines: LogLine[] = [];

  debug(fields: object, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }

  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }

  get text(): string {
    return this.lines.map((line) => JSON.stringify(line)).join('\n');
  }

  with(message: string): readonly LogLine[] {
    return this.lines.filter((line) => line.message.includes(message));
  }
}

export interface EnvironmentChanges {
  readonly cluster?: string;
  readonly log?: Logger;
  readonly metrics?: Metrics;
  readonly connectTimeoutMs?: number;
}

export function environmentOf({
  cluster = 'test',
  log = new LogKeeper(),
  metrics = noMetrics,
  connectTimeoutMs = 5_000,
}: EnvironmentChanges = {}): LinkEnvironment {
  return { cluster, clock: systemClock, random: systemRandom, log, metrics, connectTimeoutMs };
}

export interface Arrived {
  readonly text: string;
  readonly from: Address;
  readonly via: Via;
}

/** What a link told, with waits for what it has yet to tell. */
export class Told {
  readonly frames: Arrived[] = [];
  readonly undeliverable: number[] = [];
  readonly states: boolean[] = [];
  readonly #waiting = new Set<() => void>();

  onFrame(frame: Uint8Array, from: Address, via: Via): void {
    this.frames.push({ text: Buffer.from(frame).toString(), from, via });
    this.#look();
  }

  onUndeliverable(token: number): void {
    this.undeliverable.push(token);
    this.#look();
  }

  onState(up: boolean): void {
    this.states.push(up);
    this.#look();
  }

  until(what: string, holds: () => boolean, limitMs: number = 10_000): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const seen = { frames: this.frames.length, undeliverable: this.undeliverable.length, states: this.states };
        reject(new Error(`waited ${limitMs} ms in vain for ${what}: ${JSON.stringify(seen)}`));
      }, limitMs);
      const look = (): void => {
        if (!holds()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  #look(): void {
    for (const look of this.#waiting) look();
  }
}

/** Opens links and closes them at the end of the test. */
export class Links implements AsyncDisposable {
  readonly #open: { close(): Promise<void> }[] = [];

  async node(
    options: NatsOptions,
    environment: LinkEnvironment,
    nodeId: string = 'n1',
    incarnation: string = 'i1',
  ): Promise<{ link: DataLink; told: Told }> {
    const told = new Told();
    const link = await nats(options).openData({ kind: 'node', nodeId, incarnation }, told, environment);
    this.#open.push(link);
    return { link, told };
  }

  async client(options: NatsOptions, environment: LinkEnvironment): Promise<{ link: DataLink; told: Told }> {
    const told = new Told();
    const link = await nats(options).openData({ kind: 'client', clientId: systemRandom.hex(8) }, told, environment);
    this.#open.push(link);
    return { link, told };
  }

  async control(options: NatsOptions, environment: LinkEnvironment, nodeId: string = 'n1'): Promise<{ link: ControlLink; told: Told }> {
    const told = new Told();
    const link = await nats(options).openControl(nodeId, told, environment);
    this.#open.push(link);
    return { link, told };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map((link) => link.close()));
  }
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}
