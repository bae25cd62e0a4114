/**
 * One message of the snapshots' stream: what it covers, where the others that count lie, and the snapshot itself.
 * `format (1 byte) | count (1 byte) | sequence (8) | count x (sequence (8), message (8)) | body`, numbers as big-endian integers.
 */
export interface SnapshotMessage {
  readonly sequence: number;
  readonly others: readonly SnapshotPlace[];
  readonly body: Uint8Array;
}

/** A snapshot in a message of its own. */
export interface SnapshotPlace {
  readonly sequence: number;
  /** The sequence of its message. */
  readonly message: number;
}

const format = 1;
export const othersMax = 63;
/** What a message has beside its body, at most. */
export const formBytesMax: number = 10 + othersMax * 16;

export function encodeSnapshot({ sequence, others, body }: SnapshotMessage): Uint8Array {
  const head = Buffer.allocUnsafe(10 + others.length * 16);
  head[0] = format;
  head[1] = others.length;
  head.writeBigUInt64BE(BigInt(sequence), 2);
  for (const [i, other] of others.entries()) {
    head.writeBigUInt64BE(BigInt(other.sequence), 10 + i * 16);
    head.writeBigUInt64BE(BigInt(other.message), 18 + i * 16);
  }
  return Buffer.concat([head, body]);
}

/** `undefined` for a message of another form. */
export function decodeSnapshot(data: Buffer): SnapshotMessage | undefined {
  const count = data[1] ?? 0;
  const start = 10 + count * 16;
  if (data[0] !== format || count > othersMax || data.length < start) return undefined;
  const others = Array.from({ length: count }, (_, i) => ({
    sequence: Number(data.readBigUInt64BE(10 + i * 16)),
    message: Number(data.readBigUInt64BE(18 + i * 16)),
  }));
  return { sequence: Number(data.readBigUInt64BE(2)), others, body: data.subarray(start) };
}
