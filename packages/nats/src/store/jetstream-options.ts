import { PerkeyError, resolveOptions } from '@perkey/core';
import type { OptionTable, ResolvedOptions } from '@perkey/core';
import { natsOptionTable, resolveNats } from '../options.ts';
import type { NatsCredentials, NatsTlsOptions, ResolvedNats } from '../options.ts';

type NumberOption = Extract<OptionTable[string], { readonly kind: 'integer' | 'number' }>;
type TextOption = Extract<OptionTable[string], { readonly kind: 'text' }>;
export type JetStreamOptionTable = Readonly<
  Record<Exclude<keyof JetStreamLimits, 'inboxPrefix'>, NumberOption> & Record<'inboxPrefix', TextOption>
>;

/** The numbers and texts of the store, for the configuration page. */
export const jetstreamOptionTable: JetStreamOptionTable = {
  replicas: {
    ...natsOptionTable.replicas,
    help: 'How many NATS servers hold each stream of the store. Counts when a stream is created; an existing one is left as it is.',
  },
  streamBytesMax: {
    kind: 'integer',
    default: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    unit: 'bytes',
    help: 'Size at which a new stream of events or of states takes no more; 0: no limit but the disk. For accounts that ask for one.',
  },
  storeTimeoutMs: {
    kind: 'integer',
    default: 5_000,
    min: 50,
    max: 60_000,
    unit: 'ms',
    help: 'How long NATS may take to acknowledge an append, or to answer a request; an append then is unknown.',
  },
  appendsInFlightMax: {
    kind: 'integer',
    default: 16_384,
    min: 1,
    max: 1_000_000,
    unit: 'appends',
    help: 'Appends that may wait for their acknowledgement; further ones are refused.',
  },
  appendsInFlightBytesMax: {
    kind: 'integer',
    default: 33_554_432,
    min: 1_048_576,
    max: 1_073_741_824,
    unit: 'bytes',
    help: 'Size of all appends that may wait for their acknowledgement; further ones are refused.',
  },
  readBytesMax: {
    kind: 'integer',
    default: 4_194_304,
    min: 65_536,
    max: 268_435_456,
    unit: 'bytes',
    help: 'What one request of a read asks for; a read keeps at most two of them in memory. Raised to the largest message where it is less.',
  },
  dialTimeoutMs: natsOptionTable.dialTimeoutMs,
  pingIntervalMs: natsOptionTable.pingIntervalMs,
  pingsUnansweredMax: natsOptionTable.pingsUnansweredMax,
  outboundBytesMax: natsOptionTable.outboundBytesMax,
  inboxPrefix: {
    ...natsOptionTable.inboxPrefix,
    help: 'Where the store takes the answers of the server; private where permissions are set per process.',
  },
};

/** What each is, and its bounds: `jetstreamOptionTable`. */
export interface JetStreamLimits {
  readonly replicas?: number | undefined;
  readonly streamBytesMax?: number | undefined;
  readonly storeTimeoutMs?: number | undefined;
  readonly appendsInFlightMax?: number | undefined;
  readonly appendsInFlightBytesMax?: number | undefined;
  readonly readBytesMax?: number | undefined;
  readonly dialTimeoutMs?: number | undefined;
  readonly pingIntervalMs?: number | undefined;
  readonly pingsUnansweredMax?: number | undefined;
  readonly outboundBytesMax?: number | undefined;
  readonly inboxPrefix?: string | undefined;
}

export interface JetStreamOptions extends JetStreamLimits, NatsCredentials {
  /** As for `nats`: `host:port` or `nats://host:port`, also `tls://`. Default: the environment's NATS_URL, else 127.0.0.1:4222. */
  readonly servers?: string | readonly string[] | undefined;
  readonly tls?: NatsTlsOptions | undefined;
  /** How the connection calls itself to the server; default `perkey`. */
  readonly name?: string | undefined;
}

export interface ResolvedJetStream {
  readonly nats: ResolvedNats;
  readonly limits: ResolvedOptions<JetStreamOptionTable>;
}

/** Throws `options.invalid`; no message holds a credential. */
export function resolveJetStream(options: JetStreamOptions, env: Readonly<Record<string, string | undefined>>): ResolvedJetStream {
  const { servers, tls, name, user, pass, token, nkey, creds, ...rest } = options;
  const limits = resolveOptions(jetstreamOptionTable, rest, env);
  const { replicas, storeTimeoutMs, dialTimeoutMs, pingIntervalMs, pingsUnansweredMax, outboundBytesMax, inboxPrefix } = limits;
  if (limits.appendsInFlightBytesMax > outboundBytesMax) {
    const text = `option appendsInFlightBytesMax: ${limits.appendsInFlightBytesMax} is more than outboundBytesMax, ${outboundBytesMax}`;
    throw new PerkeyError('options.invalid', text, { details: { option: 'appendsInFlightBytesMax' } });
  }
  const shared = { replicas, storeTimeoutMs, dialTimeoutMs, pingIntervalMs, pingsUnansweredMax, outboundBytesMax, inboxPrefix };
  return { nats: resolveNats({ servers, tls, name, user, pass, token, nkey, creds, ...shared }, env), limits };
}
