/**
 * What may happen to a simulated cluster.
 *
 * - `crash`: the process dies as by `kill -9`, and starts again under the same id.
 * - `drain`: the node leaves as planned, and starts again.
 * - `pause`: the process stands still, as by SIGSTOP or a long collection of garbage.
 * - `suspend`: so does its machine, whose monotonic clock stands still too.
 * - `cut`, `cut-in`, `cut-out`: what it sends or should get is lost, on all links or one; it may notice or not.
 * - `sever`: two processes do not reach each other, while both reach the broker.
 * - `delay`: everything takes longer, so that its messages arrive in another order than those of others.
 * - `lose-link`: its connections break with what was on the way, and come back.
 * - `late-flush`: what it sends is kept back, its connections break and are made anew, and what was kept is delivered after that.
 * - `slow-store`: its writes to the records are acknowledged late, or so late that it hears nothing.
 * - `late-proof`: what the records answer it comes late, and then nothing does, while its calls go on.
 * - `doubtful-writes`: its writes are applied and refused all the same, or not answered.
 * - `stale-reads`: its reads see the records as they were.
 * - `late-watch`: it hears late of what others wrote.
 * - `no-leader`: the records of everybody are unavailable.
 * - `rollback`: the records are set back to what they were.
 * - `storm`: a node joins or leaves each second.
 * - `clock-rate`: its monotonic clock runs up to 1 % too fast or too slow.
 * - `wall-jump`: its wall clock is set.
 * - `slow-log`: whatever it asks the store of durable actors takes long.
 * - `doubtful-appends`: its appends to the logs of durable actors are lost, applied and not acknowledged, applied or acknowledged late, or refused.
 * - `late-append`: its appends are on their way when it dies, and are stored, if they still may be, when others own its shards.
 * - `no-log`: that store is unavailable to it, at once or from its next append on, of which it hears no more.
 * - `full-log`: that store has no room.
 * - `stale-log`: its reads of the logs see them as they were.
 */
export type FaultKind =
  | 'crash'
  | 'drain'
  | 'pause'
  | 'suspend'
  | 'cut'
  | 'cut-in'
  | 'cut-out'
  | 'sever'
  | 'delay'
  | 'lose-link'
  | 'late-flush'
  | 'slow-store'
  | 'late-proof'
  | 'doubtful-writes'
  | 'stale-reads'
  | 'late-watch'
  | 'no-leader'
  | 'rollback'
  | 'storm'
  | 'clock-rate'
  | 'wall-jump'
  | 'slow-log'
  | 'doubtful-appends'
  | 'late-append'
  | 'no-log'
  | 'full-log'
  | 'stale-log';

/** One fault at its time: plain data, so that a schedule can be printed, cut down and given back. */
export interface Fault {
  /** Virtual ms from the time at which the cluster was up. */
  readonly atMs: number;
  readonly kind: FaultKind;
  /** How long it goes on; 0 for what happens at once. */
  readonly forMs: number;
  /** The process; none where it strikes everybody. */
  readonly target?: string;
  /** The other process of `sever`. */
  readonly other?: string;
  /** What the kind makes of it: ms of a delay or a jump, a rate, a number of writes, how far back records go. */
  readonly amount?: number;
  /** One link only. */
  readonly link?: 'data' | 'control';
  readonly variant?: string;
}

/** Faults of one family on one process exclude each other. */
export type FaultFamily = 'life' | 'links' | 'stores' | 'watch' | 'clock' | 'world' | 'members' | 'log';

export const familyOf: Readonly<Record<FaultKind, FaultFamily>> = Object.freeze({
  crash: 'life',
  drain: 'life',
  pause: 'clock',
  suspend: 'clock',
  cut: 'links',
  'cut-in': 'links',
  'cut-out': 'links',
  sever: 'links',
  delay: 'links',
  'lose-link': 'links',
  'late-flush': 'links',
  'slow-store': 'stores',
  'late-proof': 'links',
  'doubtful-writes': 'stores',
  'stale-reads': 'stores',
  'late-watch': 'watch',
  'no-leader': 'world',
  rollback: 'world',
  storm: 'members',
  'clock-rate': 'clock',
  'wall-jump': 'clock',
  'slow-log': 'log',
  'doubtful-appends': 'log',
  'late-append': 'life',
  'no-log': 'log',
  'full-log': 'log',
  'stale-log': 'log',
});

export const faultKinds: readonly FaultKind[] = Object.freeze(Object.keys(familyOf) as FaultKind[]);

/** One line for people. */
export function describeFault({ atMs, kind, forMs, target, other, amount, link, variant }: Fault): string {
  const parts = [`${Math.round(atMs)} ms`, kind];
  if (target !== undefined) parts.push(target);
  if (other !== undefined) parts.push(`and ${other}`);
  if (link !== undefined) parts.push(`${link} link`);
  if (variant !== undefined) parts.push(variant);
  if (amount !== undefined) parts.push(`by ${amount}`);
  if (forMs > 0) parts.push(`for ${Math.round(forMs)} ms`);
  return parts.join(' ');
}
