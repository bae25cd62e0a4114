import type { Clock } from '../../base/clock.ts';
import { mendPath, openPath } from './gate.ts';
import type { Path } from './gate.ts';
import type { RecordHistory } from './record-history.ts';
import { StoreFaults } from './store-faults.ts';

/** As the process sees it: `out` is what it sends, `in` is what it would get. */
export type Direction = 'in' | 'out' | 'both';
export type LinkKind = 'data' | 'control';

export interface CutOptions {
  readonly direction?: Direction | undefined;
  /** Default: both links. */
  readonly link?: LinkKind | undefined;
  /** After so much time the process notices: its links are down until `heal`. Default: it never notices. */
  readonly noticeAfterMs?: number | undefined;
}

/** A link of the process, as its faults act on it. */
export interface FaultyLink {
  readonly kind: LinkKind;
  /** Something about the paths changed: let through what may pass, connect again where that is possible. */
  changed(): void;
  /** The connection breaks, and the process notices. */
  lose(): void;
  /** The process is dead: nothing is told to it, nothing more is taken from it. */
  crash(): void;
}

type Paths = Readonly<Record<LinkKind, { readonly in: Path; readonly out: Path }>>;

const sides = { in: ['in'], out: ['out'], both: ['in', 'out'] } as const;
const kinds: readonly LinkKind[] = ['data', 'control'];

/**
 * What one process (a node by its id, with all its incarnations; a client by its id) suffers. Everything holds until it is undone, also
 * for links that the process opens later. A store call that gets no answer rejects after the transport's `storeTimeoutMs`.
 */
export class ProcessFaults {
  readonly paths: Paths = { data: { in: openPath(), out: openPath() }, control: { in: openPath(), out: openPath() } };
  readonly members: StoreFaults;
  readonly shards: StoreFaults;
  readonly #clock: Clock;
  readonly #links = new Set<FaultyLink>();
  readonly #severed = new Set<ProcessFaults>();
  #offline = false;
  #refusesFrames = false;
  #cuts = 0;

  constructor(clock: Clock, history: RecordHistory) {
    this.#clock = clock;
    this.members = new StoreFaults(history, () => this.#changed());
    this.shards = new StoreFaults(history, () => this.#changed());
  }

  /** Whether a new connection can be made. */
  reachable(kind: LinkKind): boolean {
    const { in: inward, out } = this.paths[kind];
    return !this.#offline && !inward.cut && !out.cut;
  }

  get refusesFrames(): boolean {
    return this.#refusesFrames;
  }

  /** Whether frames of this process to the other one are lost on their way. */
  isSevered(from: ProcessFaults): boolean {
    return this.#severed.size > 0 && this.#severed.has(from);
  }

  join(link: FaultyLink): void {
    this.#links.add(link);
  }

  leave(link: FaultyLink): void {
    this.#links.delete(link);
  }

  /** Loses everything without a sign, as a broken wire does. What a watch would have told is told after `heal`. */
  cut(options: CutOptions = {}): void {
    const { direction = 'both', link, noticeAfterMs } = options;
    this.#each(direction, link, (path) => (path.cut = true));
    this.#cuts += 1;
    const number = this.#cuts;
    if (noticeAfterMs === undefined) return;
    this.#clock.setTimer(noticeAfterMs, () => {
      if (number !== this.#cuts) return;
      for (const lost of [...this.#links]) if (!this.reachable(lost.kind)) lost.lose();
    });
  }

  /** Keeps everything back, also from a process that ends meanwhile, until `release`. */
  hold(options: Omit<CutOptions, 'noticeAfterMs'> = {}): void {
    this.#each(options.direction ?? 'both', options.link, (path) => (path.held = true));
  }

  release(): void {
    this.#each('both', undefined, (path) => (path.held = false));
    this.#changed();
  }

  /** Everything takes `ms` longer in this direction; the order stays. */
  delay(ms: number, options: Omit<CutOptions, 'noticeAfterMs'> = {}): void {
    this.#each(options.direction ?? 'both', options.link, (path) => (path.delayMs = ms));
  }

  /** Loses the next `count` frames of its data links. */
  dropNext(count: number, direction: 'in' | 'out' = 'out'): void {
    this.paths.data[direction].dropNext += count;
  }

  /** Frames to the addresses of the process are reported undeliverable though it listens, as a cut inside the broker makes them. */
  refuseFrames(): void {
    this.#refusesFrames = true;
  }

  /** Frames between the two are lost, one way or both, while both reach the broker: a cut inside the broker. What is sent to all gets through. */
  sever(other: ProcessFaults, ways: 'out' | 'both' = 'both'): void {
    this.#severed.add(other);
    if (ways === 'both') other.#severed.add(this);
  }

  /** All connections break, both sides notice, and none can be made until `reconnect`. */
  disconnect(): void {
    this.#offline = true;
    for (const link of [...this.#links]) link.lose();
  }

  /** The connections of one kind, or all, break with what is under way on them, and are made anew at once. */
  breakLinks(kind?: LinkKind): void {
    for (const link of [...this.#links]) if (kind === undefined || link.kind === kind) link.lose();
  }

  reconnect(): void {
    this.#offline = false;
    this.#changed();
  }

  /** The process has died. What was held of it is sent on `release`, nothing else; links opened later are those of its successor. */
  crash(): void {
    for (const link of [...this.#links]) link.crash();
  }

  /** Ends every fault of the process. What was held is let through; what was lost stays lost. */
  heal(): void {
    this.mendLinks();
    this.members.heal();
    this.shards.heal();
  }

  /** Ends what its links suffer, and goes on with what its stores do. */
  mendLinks(): void {
    this.#cuts += 1;
    this.#offline = false;
    this.#refusesFrames = false;
    for (const other of this.#severed) other.#severed.delete(this);
    this.#severed.clear();
    this.#each('both', undefined, mendPath);
    this.#changed();
  }

  #changed(): void {
    for (const link of [...this.#links]) link.changed();
  }

  #each(direction: Direction, link: LinkKind | undefined, change: (path: Path) => void): void {
    for (const kind of kinds) {
      if (link !== undefined && link !== kind) continue;
      for (const side of sides[direction]) change(this.paths[kind][side]);
    }
  }
}
