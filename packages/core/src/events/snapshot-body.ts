import type { CodecLimits } from '../base/codec-limits.ts';
import { decode, encode } from '../base/codec.ts';
import { defaultCodecLimits } from '../base/codec-limits.ts';
import { digestHex } from '../base/digest.ts';
import type { StreamName } from '../contract/commit-log.ts';
import type { StreamHead } from './commit.ts';

const snapshotFormat = 1;
const hashBytes = 32;
/** States may hold more than messages do; what a snapshot store takes binds as well. */
const snapshotLimits: CodecLimits = Object.freeze({
  ...defaultCodecLimits,
  depthMax: defaultCodecLimits.depthMax + 4,
  nodesMax: 1_000_000,
});

/** What an actor was at a head of its stream. `state` and `bookkeeping` are plain data. */
export interface SnapshotContent {
  readonly head: StreamHead;
  /** Of the form of the state; another one than the code's is not used. */
  readonly stateVersion: number;
  readonly state: unknown;
  readonly bookkeeping: unknown;
}

/** Throws `payload.not_plain` or `payload.too_large`. */
export function writeSnapshot(stream: StreamName, content: SnapshotContent): Uint8Array {
  const { head, stateVersion, state, bookkeeping } = content;
  const { sequence, version, epoch, owner, hash } = head;
  const whole = [snapshotFormat, stateVersion, stream.type, stream.key, sequence, version, epoch, owner, hash, state, bookkeeping];
  const written = encode(whole, snapshotLimits);
  const body = new Uint8Array(hashBytes + written.length);
  body.set(Buffer.from(digestHex(written), 'latin1'));
  body.set(written, hashBytes);
  return body;
}

/** `corrupt`: not what was written. `other_version`: of another form than this code reads, or of another form of the state. */
export type ReadSnapshot =
  { readonly kind: 'read'; readonly content: SnapshotContent } | { readonly kind: 'corrupt' | 'other_version'; readonly why: string };

/** Never throws, whatever the bytes. */
export function readSnapshot(stream: StreamName, body: Uint8Array, stateVersion: number): ReadSnapshot {
  const written = body.subarray(hashBytes);
  if (Buffer.from(body.subarray(0, hashBytes)).toString('latin1') !== digestHex(written)) return corrupt('its bytes have changed');
  try {
    return contentOf(stream, decode(written, 0, written.length, snapshotLimits) as readonly unknown[], stateVersion);
  } catch {
    return corrupt('it cannot be read');
  }
}

function corrupt(why: string): ReadSnapshot {
  return { kind: 'corrupt', why };
}

function contentOf(stream: StreamName, parts: readonly unknown[], wanted: number): ReadSnapshot {
  const [format, stateVersion, type, key, sequence, version, epoch, owner, hash, state, bookkeeping] = parts;
  if (format !== snapshotFormat)
    return { kind: 'other_version', why: `it has the form ${Number(format)}, this version reads ${snapshotFormat}` };
  if (type !== stream.type || key !== stream.key) return corrupt('it is of another stream');
  if (stateVersion !== wanted)
    return { kind: 'other_version', why: `its state has the version ${Number(stateVersion)}, the code has ${wanted}` };
  const isWhole = [sequence, version, epoch].every((value) => Number.isSafeInteger(value) && (value as number) >= 0);
  if (!isWhole || sequence === 0 || typeof owner !== 'string' || typeof hash !== 'string') return corrupt('its head has another form');
  const head: StreamHead = { sequence: sequence as number, version: version as number, epoch: epoch as number, owner, hash, ended: false };
  return { kind: 'read', content: { head, stateVersion: wanted, state, bookkeeping } };
}
