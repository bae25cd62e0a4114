import { connect } from 'node:net';

/** What a NATS server says of itself in the INFO line that opens every connection. */
export interface NatsServerInfo {
  readonly version: string;
  readonly serverName: string;
  readonly jetstream: boolean;
}

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

const infoBytesMax = 65_536;

/**
 * Dials and waits for the INFO line; the connection is closed again. Rejects with a plain Error that says why there was none.
 * A server that asks for TLS before INFO (`handshake_first`) counts as one that does not answer.
 */
export function readServerInfo(address: HostAndPort, timeoutMs: number): Promise<NatsServerInfo> {
  return new Promise((resolve, reject) => {
    const socket = connect(address.port, address.host);
    const timer = setTimeout(() => finish(new Error(`no INFO line within ${timeoutMs} ms`)), timeoutMs);
    let text = '';
    const finish = (result: NatsServerInfo | Error): void => {
      clearTimeout(timer);
      socket.destroy();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n') || text.length > infoBytesMax) finish(parseInfo(text));
    });
    socket.on('error', (error) => finish(new Error(dialError(error), { cause: error })));
    socket.on('end', () => finish(new Error('the connection was closed before an INFO line came')));
  });
}

function parseInfo(text: string): NatsServerInfo | Error {
  const line = text.slice(0, Math.max(0, text.indexOf('\n'))).trim();
  if (!line.startsWith('INFO ')) return new Error('what answers there is not a NATS server');
  try {
    const fields = JSON.parse(line.slice('INFO '.length)) as Record<string, unknown>;
    return { version: String(fields['version']), serverName: String(fields['server_name']), jetstream: fields['jetstream'] === true };
  } catch (error) {
    return new Error('the INFO line is not JSON', { cause: error });
  }
}

/** A refused dial to a name with several addresses is an AggregateError with an empty message. */
function dialError(error: Error & { code?: string; errors?: Error[] }): string {
  const inner = error.errors?.[0]?.message;
  return error.message || inner || error.code || 'the dial failed';
}
