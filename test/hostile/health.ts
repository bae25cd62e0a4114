/** What the attacked process says when it is asked. */
export interface Health {
  /** After a collection of garbage. */
  readonly heapBytes: number;
  readonly handles: number;
  readonly badFrames: number;
  readonly badAddresses: number;
  readonly callbackErrors: number;
  readonly resident: number;
  readonly series: number;
  /** Since it was last asked: the longest that the event loop stood still, and the longest that its own work took of that, in ms. */
  readonly stallMs: number;
  readonly workMs: number;
  /** Names of what holds other own properties than at the start. */
  readonly prototypesChanged: readonly string[];
}

export interface Ready {
  readonly incarnation: string;
  readonly httpPort: number;
}

export const hostileCluster = 'hostile';
export const hostileShards = 16;
