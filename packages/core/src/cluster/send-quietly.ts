import type { Logger } from '../base/log.ts';
import type { Address, DataLink } from '../contract/transport.ts';

/** Sends a frame of replies. The connection may break while it takes it: the callers then learn that from their own connections, or are told. */
export function sendQuietly(link: DataLink, log: Logger, to: Address, frame: Uint8Array): void {
  try {
    link.send(to, frame, -1);
  } catch (error) {
    log.debug({ err: error }, 'a frame of replies could not be written');
  }
}
