import { NatsConnectionImpl, ProtocolHandler, credsAuthenticator, nkeyAuthenticator, setTransportFactory } from '@nats-io/transport-node';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { NodeTransport, nodeResolveHost } from '@nats-io/transport-node/lib/node_transport.js';
import type { Socket } from 'node:net';
import type { ResolvedNats } from './options.ts';

/**
 * All that is used of the client library beyond its documented API is in this file, and `checkInternals` tests it on every new connection.
 * Two things are missing there: a way to end an attempt to connect (its socket would stay open on a server that accepts and says nothing),
 * and a way to drop a connection without first waiting for what it still wants to write.
 */
export interface Dial {
  readonly connected: Promise<NatsConnection>;
  /** Ends the attempt and its socket; `connected` then rejects. After `connected` has resolved it must not be called. */
  abort(): void;
}

/** One attempt to connect to one server. The library never redials by itself. */
export function dial(server: string, nats: ResolvedNats, name: string): Dial {
  const options = connectionOptions(server, nats, name);
  setTransportFactory({ factory: () => new NodeTransport(), dnsResolveFn: nodeResolveHost });
  const connection = Reflect.construct(NatsConnectionImpl, [options]) as NatsConnectionImpl;
  const protocol = new ProtocolHandler(connection.options, connection);
  connection.protocol = protocol;
  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      abort = undefined;
      protocol.transport?.discard();
      reject(new Error('timeout'));
    };
  });
  const dialled = protocol.dialLoop().then(
    () => {
      if (abort === undefined) void connection.close();
      return connection as NatsConnection;
    },
    (error: unknown) => {
      protocol.transport?.discard();
      throw error;
    },
  );
  return { connected: Promise.race([dialled, aborted]), abort: () => abort?.() };
}

function connectionOptions(server: string, nats: ResolvedNats, name: string): ConnectionOptions {
  const { user, pass, token, nkey, creds } = nats.credentials;
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  return {
    servers: [server],
    name,
    reconnect: false,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
    timeout: nats.limits.dialTimeoutMs,
    pingInterval: nats.limits.pingIntervalMs,
    maxPingOut: nats.limits.pingsUnansweredMax,
    inboxPrefix: nats.limits.inboxPrefix,
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(token === undefined ? {} : { token }),
    ...(nkey === undefined ? {} : { authenticator: nkeyAuthenticator(bytes(nkey)) }),
    ...(creds === undefined ? {} : { authenticator: credsAuthenticator(bytes(creds)) }),
    ...(nats.tls === undefined ? {} : { tls: { ...nats.tls } }),
  };
}

/** The socket below a connection; `undefined` where the library is not built as expected. */
export function socketOf(connection: NatsConnection): Socket | undefined {
  const { protocol } = connection as { protocol?: { transport?: { socket?: Socket } } };
  const socket = protocol?.transport?.socket;
  return typeof socket?.destroy === 'function' && typeof socket.prependListener === 'function' ? socket : undefined;
}

function inner(holder: unknown, name: string): Readonly<Record<string, unknown>> | undefined {
  const value: unknown = typeof holder === 'object' && holder !== null ? Reflect.get(holder, name) : undefined;
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

const ignore = (): void => {};

/**
 * Ends the socket at once, with a TCP reset, so that neither this process nor its kernel delivers what was not yet written.
 * A TLS socket has no such method, and resetting the TCP socket below it while it writes crashes Node: there the handle below is made to
 * reset where the TLS socket, in its own order, closes it.
 */
export function resetSocket(socket: Socket): void {
  socket.on('error', ignore);
  // Where this side has begun a clean end, libuv refuses the reset and Node then leaks the handle.
  const mayReset = !socket.destroyed && !socket.writableEnded;
  const below = inner(inner(socket, '_handle'), '_parent');
  if (mayReset && below !== undefined) resetInsteadOfClose(below);
  else if (mayReset) resetPlain(socket);
  socket.destroy();
}

function resetPlain(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    // A handle of another kind: it is destroyed without the reset.
  }
}

function resetInsteadOfClose(handle: Readonly<Record<string, unknown>>): void {
  const { reset } = handle;
  if (typeof reset === 'function') Reflect.set(handle, 'close', (done: () => void) => Reflect.apply(reset, handle, [done]) as unknown);
}
