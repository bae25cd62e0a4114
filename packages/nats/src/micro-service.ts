import type { Clock, PerkeyError, ServiceDescription } from '@perkey/core';
import { isToken, queueGroup } from './subjects.ts';
import type { Subjects } from './subjects.ts';

interface EndpointStats {
  requests: number;
  errors: number;
  lastError: string;
  totalMs: number;
}

interface Endpoint {
  readonly name: string;
  readonly subject: string;
  readonly queue_group: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * A NATS micro service (the published protocol `io.nats.micro.v1`), so that `nats micro ls|info|stats` shows the nodes and what they host.
 * The service package of the client library is not used: its only releases are prereleases bound to an older, exact version of the core
 * library, which would bring a second client into the program.
 */
export class MicroService {
  readonly #id: string;
  readonly #name: string;
  readonly #version: string;
  readonly #started: string;
  readonly #endpoints: readonly Endpoint[];
  readonly #stats = new Map<string, EndpointStats>();

  constructor(description: ServiceDescription, subjects: Subjects, clock: Clock) {
    this.#id = description.nodeId;
    this.#name = subjects.service;
    this.#version = semver.test(description.version) ? description.version : '0.0.0';
    this.#started = new Date(clock.wall()).toISOString();
    const callable = description.types.filter(({ type }) => isToken(type));
    this.#endpoints = callable.flatMap(({ type, methods }) =>
      methods.filter(isToken).map((method) => ({
        name: `${type}-${method}`,
        subject: subjects.call(type, method),
        queue_group: queueGroup,
        metadata: { type, method },
      })),
    );
    for (const { metadata } of this.#endpoints) this.#stats.set(`${metadata['type']}.${metadata['method']}`, fresh());
  }

  /** What to answer where. Several subjects share an answer. */
  subjects(): readonly { readonly subject: string; readonly describe: () => string }[] {
    const verbs: readonly (readonly [string, () => string])[] = [
      ['PING', () => this.#ping()],
      ['INFO', () => this.#info()],
      ['STATS', () => this.#statistics()],
    ];
    return verbs.flatMap(([verb, describe]) =>
      [`$SRV.${verb}`, `$SRV.${verb}.${this.#name}`, `$SRV.${verb}.${this.#name}.${this.#id}`].map((subject) => ({ subject, describe })),
    );
  }

  /** Calls of types and methods that this node does not host are not counted: their names come from outside. */
  count(target: { readonly type: string; readonly method: string } | undefined, tookMs: number, error: PerkeyError | undefined): void {
    const stats = target === undefined ? undefined : this.#stats.get(`${target.type}.${target.method}`);
    if (stats === undefined) return;
    stats.requests += 1;
    stats.totalMs += tookMs;
    if (error === undefined) return;
    stats.errors += 1;
    stats.lastError = `${error.code} (executed: ${error.executed})`;
  }

  #identity(): object {
    return { name: this.#name, id: this.#id, version: this.#version, metadata: {} };
  }

  #ping(): string {
    return JSON.stringify({ ...this.#identity(), type: 'io.nats.micro.v1.ping_response' });
  }

  #info(): string {
    const description = 'Perkey actors; a request needs the header Perkey-Key or a body {"key": "...", "input": ...}';
    return JSON.stringify({ ...this.#identity(), type: 'io.nats.micro.v1.info_response', description, endpoints: this.#endpoints });
  }

  #statistics(): string {
    const endpoints = this.#endpoints.map(({ name, subject, queue_group, metadata }) => {
      const stats = this.#stats.get(`${metadata['type']}.${metadata['method']}`) ?? fresh();
      const nanos = Math.round(stats.totalMs * 1e6);
      return {
        name,
        subject,
        queue_group,
        num_requests: stats.requests,
        num_errors: stats.errors,
        last_error: stats.lastError,
        processing_time: nanos,
        average_processing_time: stats.requests === 0 ? 0 : Math.round(nanos / stats.requests),
      };
    });
    return JSON.stringify({ ...this.#identity(), type: 'io.nats.micro.v1.stats_response', started: this.#started, endpoints });
  }
}

const semver = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/;

function fresh(): EndpointStats {
  return { requests: 0, errors: 0, lastError: '', totalMs: 0 };
}
