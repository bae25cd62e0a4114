import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Address, DataLink } from '../contract/transport.ts';
import type { Members } from './members.ts';
import { changeNews, linkNews, newsFrames, wholeNews } from './news.ts';
import type { Incarnated, ShardRecord } from './records.ts';
import type { ShardTable } from './shard-table.ts';

export interface AnnouncerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly link: DataLink;
  readonly members: Members;
  readonly table: ShardTable;
}

/** Tells clients who owns what: what changed here to all of them, everything to one that asks. */
export class Announcer {
  readonly #o: AnnouncerOptions;
  readonly #newOwners: ShardRecord[] = [];
  readonly #formerOwners: Incarnated[] = [];
  /** What whoever asks is told, until something changes: many may ask at once. */
  #whole: readonly Uint8Array[] | undefined;
  #isStopped = false;

  constructor(options: AnnouncerOptions) {
    this.#o = options;
  }

  /** A record of a member or of a shard changed. */
  changed(): void {
    this.#whole = undefined;
  }

  /** Told once for all the shards that are opened in this turn of the event loop. */
  opened(record: ShardRecord, before: ShardRecord | undefined): void {
    if (this.#newOwners.length === 0) this.#o.clock.defer(() => this.#announce());
    this.#newOwners.push(record);
    if (before) this.#formerOwners.push(before);
  }

  /** The connection of this node was made anew, for the so many-th time. */
  relinked(self: Incarnated, links: number): void {
    const { link, table } = this.#o;
    this.#tell(
      link.everyClient,
      this.#frames(() => linkNews(table.shards, self, links)),
    );
  }

  answerAsk(from: Address): void {
    const { members, table } = this.#o;
    if (from === '' || !members.synced || !table.synced) return;
    this.#tell(from, (this.#whole ??= this.#frames(() => wholeNews(members, table))));
  }

  stop(): void {
    this.#isStopped = true;
  }

  #announce(): void {
    const { members, table, link } = this.#o;
    const news = changeNews(members, table.shards, this.#newOwners.splice(0), this.#formerOwners.splice(0));
    this.#tell(
      link.everyClient,
      this.#frames(() => news),
    );
  }

  #frames(news: () => Parameters<typeof newsFrames>[0]): readonly Uint8Array[] {
    try {
      return newsFrames(news(), this.#o.link.frameBytesMax);
    } catch (error) {
      this.#o.log.error({ err: error }, 'what clients should know of the cluster does not fit into frames');
      return [];
    }
  }

  /** What is lost here, clients ask for. */
  #tell(to: Address, frames: readonly Uint8Array[]): void {
    const { link, log } = this.#o;
    try {
      for (const frame of frames) if (!this.#isStopped) link.send(to, frame, -1);
    } catch (error) {
      log.debug({ err: error }, 'clients could not be told of the cluster');
    }
  }
}
