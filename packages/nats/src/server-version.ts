/** By release line: the first version with all fixes known to matter. Lines between have none; lines above are fine. */
const floors: readonly (readonly [minor: number, patch: number])[] = [
  [11, 16],
  [12, 7],
  [14, 0],
];

/** What to say of a server version that should not run in production; `undefined` where there is nothing to say. */
export function productionFloorNote(version: string): string | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (match === null) return undefined;
  const [major, minor, patch] = match.slice(1).map(Number) as [number, number, number];
  if (major > 2 || (major === 2 && minor > 14)) return undefined;
  const floor = floors.find(([line]) => line === minor);
  if (major === 2 && floor !== undefined && patch >= floor[1]) return undefined;
  return 'this NATS server lacks security fixes of later releases; for production use 2.11.16, 2.12.7, 2.14.0 or newer';
}
