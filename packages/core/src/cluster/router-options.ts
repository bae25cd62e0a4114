import type { Clock } from '../base/clock.ts';
import type { RequestHost } from '../contract/calls.ts';
import type { DataLink } from '../contract/transport.ts';
import type { RequestMetrics } from './request-metrics.ts';
import type { Routes } from './routes.ts';

export interface RouterSettings {
  readonly requestTimeoutMs: number;
  readonly inFlightMax: number;
  readonly payloadBytesMax: number;
  readonly frameCountMax: number;
  readonly keyBytesMax: number;
}

export interface RouterOptions {
  readonly clock: Clock;
  readonly settings: RouterSettings;
  readonly metrics: RequestMetrics;
  /** Who calls, for binding idempotency keys. */
  readonly callerName: string;
  readonly link: DataLink;
  readonly routes: Routes;
  /** The actors of this very node, where the caller is one. */
  readonly local: RequestHost | undefined;
  /** Calls wait for news of who owns what. Called often while they do. */
  readonly wantNews: () => void;
}
