import type { Durability } from '@perkey/core';

/** What acknowledged means on a server of this version with this many copies. The server tells a client nothing of `sync_interval`. */
export function durabilityOf(version: string, replicas: number): Durability {
  const match = /^v?(\d+)\.(\d+)/.exec(version);
  const [major, minor] = match === null ? [0, 0] : (match.slice(1).map(Number) as [number, number]);
  const maySync = major > 2 || (major === 2 && minor >= 10);
  const kill = 'What NATS acknowledged survives the end of any process.';
  if (!maySync && replicas === 1) {
    return {
      survivesKill: true,
      survivesPowerLoss: false,
      text: `${kill} Server ${version} writes to the disk from time to time only, so a loss of power takes the last half minute, or all of a young stream; use 2.10 or newer with sync_interval: always, or replicas: 3 on machines with separate power.`,
    };
  }
  const copies =
    replicas === 1
      ? 'It survives a loss of power only where the server is configured with jetstream { sync_interval: always }, which a client cannot see: check it.'
      : `It is on most of ${replicas} servers, so it survives the loss of power of one of them, and of all at once only where each is configured with jetstream { sync_interval: always }${maySync ? '' : ' (2.10 or newer)'}, which a client cannot see: check it.`;
  return { survivesKill: true, survivesPowerLoss: 'unknown', text: `${kill} ${copies}` };
}
