import type { LogRecord, Timer } from '@perkey/core';
import type { Msg } from '@nats-io/transport-node';
import type { LiveConnection } from '../connection.ts';
import { unavailable } from '../store-api.ts';
import { listen } from '../subscription.ts';
import { placeReader } from './delivered-place.ts';
import type { Place, PlaceReader } from './delivered-place.ts';
import { answered } from './store-link.ts';
import type { StoreLink } from './store-link.ts';

/** How often the server says that it is there while it has nothing to deliver. */
const heartbeatMs = 1_000;
const silenceMaxMs = 3_500;
/** How long one request for records stays with the server. */
const pullMs = 30_000;
/** A consumer that asked for nothing for so long is forgotten by the server; a slower reader makes a new one. */
const inactiveMs = 60_000;
/** So often a server may say that it has nothing although more is known to be there: a copy that lags behind. */
const lagsMax = 5;

/** No server takes larger messages. */
const messageBytesMax = 67_117_056;

export interface PullPlan {
  readonly natsStream: string;
  /** The consumer's filter; none for all subjects. Several need server 2.10. */
  readonly filters: readonly string[];
  /** Chooses among what the consumer delivers; the others are passed over. */
  readonly fits?: ((message: Msg) => boolean) | undefined;
  /** Whether the records are to have their subject. */
  readonly withSubject?: boolean;
  readonly deliver:
    { readonly deliver_policy: 'by_start_sequence'; readonly opt_start_seq: number } | { readonly deliver_policy: 'last_per_subject' };
  /** The last record that fits, as the leader of the stream told it; 0 for none, or where `expect` tells it later. */
  readonly end: number;
  readonly headersOnly?: boolean;
  /** Most messages, and most bytes, that one request asks for; the bytes hold any one message. */
  readonly countMax: number;
  readonly bytesMax: number;
}

export interface PulledRecord extends LogRecord {
  /** Empty unless asked for. */
  readonly subject: string;
}

/**
 * One ephemeral consumer that is asked for records, from its making to its end. It numbers what it delivers, so a gap is seen; a gap, silence,
 * a refusal or the loss of the connection ends the session, and its user begins another one after what it has got. What waits here is bounded
 * by two requests: the next one leaves when half of the last one was taken.
 */
export class PullSession {
  readonly #link: StoreLink;
  readonly #live: LiveConnection;
  readonly #plan: PullPlan;
  readonly #consumer: string;
  readonly #inbox: string;
  readonly #placeOf: PlaceReader;
  readonly #place: Place = { sequence: 0, delivered: 0, pending: 0 };
  readonly #unobserve: () => void;
  #subscription: { unsubscribe(): void } | undefined;
  #timer: Timer | undefined;
  #records: PulledRecord[] = [];
  #taken = 0;
  #waitingBytes = 0;
  #delivered = 0;
  #reached: number;
  #end: number;
  #created = false;
  #idle = false;
  #lags = 0;
  #pull = 0;
  /** What the request under way may still bring; 0 for none under way. */
  #wanted = 0;
  #bytesMax: number;
  #heardAt: number;
  #fault: string | undefined;
  #wake: (() => void) | undefined;
  #news = false;

  private constructor(link: StoreLink, live: LiveConnection, plan: PullPlan) {
    const id = link.environment.random.hex(12);
    this.#link = link;
    this.#live = live;
    this.#plan = plan;
    this.#end = plan.end;
    this.#consumer = `perkey_${id}`;
    this.#inbox = `${link.inboxPrefix}.perkey_${id}.`;
    this.#placeOf = placeReader(plan.natsStream, this.#consumer);
    this.#reached = plan.deliver.deliver_policy === 'by_start_sequence' ? plan.deliver.opt_start_seq - 1 : 0;
    this.#bytesMax = plan.bytesMax;
    this.#heardAt = link.environment.clock.now();
    this.#unobserve = link.onLost((reason) => this.#fail(reason));
  }

  /** Rejects with `store.unavailable`. */
  static async open(link: StoreLink, plan: PullPlan): Promise<PullSession> {
    return PullSession.openOn(await link.ready(), link, plan);
  }

  /** The same on a connection that is live now. What it asks for is written before anything that is asked for afterwards. */
  static async openOn(live: LiveConnection, link: StoreLink, plan: PullPlan): Promise<PullSession> {
    const session = new PullSession(link, live, plan);
    try {
      await session.#create();
    } catch (error) {
      session.end();
      throw error;
    }
    return session;
  }

  /** The last record that fits, where it was not known when the session was opened. */
  expect(end: number): void {
    this.#end = end;
  }

  /** Everything up to here was taken, or passed over because it does not fit. */
  get through(): number {
    return this.#waiting > 0 ? (this.#records[this.#taken]?.sequence ?? 0) - 1 : this.#reached;
  }

  /** The server had no more when it delivered the last record that was taken, and nothing is missing that was known to be there. */
  get live(): boolean {
    return this.#waiting === 0 && this.#idle && this.#reached >= this.#end;
  }

  get #waiting(): number {
    return this.#records.length - this.#taken;
  }

  /** Up to `max` records that are here; they may be none. */
  take(max: number): readonly PulledRecord[] {
    const taken = this.#records.slice(this.#taken, this.#taken + max);
    this.#taken += taken.length;
    for (const { body } of taken) this.#waitingBytes -= body.length;
    if (this.#waiting === 0 || this.#taken >= this.#plan.countMax) {
      this.#records = this.#records.slice(this.#taken);
      this.#taken = 0;
    }
    if (this.#fault === undefined) this.#pullMore();
    return taken;
  }

  /** Resolves when there are records, or when there is something new to say of `live` or `through`. Rejects with `store.unavailable`. */
  async more(): Promise<void> {
    if (this.#waiting > 0) return;
    if (this.#fault === undefined && !this.#news) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#news = false;
    if (this.#waiting === 0 && this.#fault !== undefined) throw unavailable(this.#fault);
  }

  /** Wakes who waits in `more`, or who will. */
  nudge(): void {
    this.#news = true;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** Idempotent. */
  end(): void {
    this.#fault ??= 'the read has ended';
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#unobserve();
    this.nudge();
    const subscription = this.#subscription;
    this.#subscription = undefined;
    if (subscription === undefined || this.#link.api.live !== this.#live) return;
    subscription.unsubscribe();
    // The server forgets the consumer by itself too; nobody waits for its answer.
    this.#live.nats.publish(`$JS.API.CONSUMER.DELETE.${this.#plan.natsStream}.${this.#consumer}`, '', { reply: `${this.#inbox}end` });
  }

  async #create(): Promise<void> {
    const { natsStream, filters, deliver, headersOnly } = this.#plan;
    this.#subscription = listen(this.#live.nats, this.#link.guard, {
      subject: `${this.#inbox}*`,
      onMessage: (message) => this.#onMessage(message),
      onRefused: (error) => this.#fail(error.message),
    });
    const [filter] = filters;
    const config = {
      name: this.#consumer,
      ...deliver,
      ...(filters.length === 1 ? { filter_subject: filter } : filters.length > 1 ? { filter_subjects: filters } : {}),
      ...(headersOnly === true ? { headers_only: true } : {}),
      ack_policy: 'none',
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: inactiveMs * 1e6,
    };
    const subject = `$JS.API.CONSUMER.CREATE.${natsStream}.${this.#consumer}${filters.length === 1 ? `.${filter}` : ''}`;
    const creating = this.#link.api.request(subject, JSON.stringify({ stream_name: natsStream, config }));
    // It may be that nobody waits for it: a publish throws where the connection was lost meanwhile.
    creating.catch(() => {});
    if (this.#link.pullsEarly) this.#pullMore();
    const reply = await creating;
    answered(this.#link, reply);
    this.#created = true;
    if (this.#delivered === 0) this.#idle = reply['num_pending'] === 0;
    if (this.#fault !== undefined) throw unavailable(this.#fault);
    this.#pullMore();
    this.#listenForLife();
  }

  #pullMore(): void {
    if (this.#wanted > 0 || this.#waiting * 2 > this.#plan.countMax || this.#waitingBytes * 2 > this.#bytesMax) return;
    this.#wanted = this.#plan.countMax;
    this.#pull += 1;
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#plan.natsStream}.${this.#consumer}`;
    this.#heardAt = this.#link.environment.clock.now();
    const request = {
      batch: this.#plan.countMax,
      max_bytes: this.#bytesMax,
      expires: pullMs * 1e6,
      idle_heartbeat: heartbeatMs * 1e6,
    };
    this.#live.nats.publish(subject, JSON.stringify(request), { reply: this.#inbox + this.#pull });
  }

  #onMessage(message: Msg): void {
    if (this.#fault !== undefined) return;
    const { reply } = message;
    if (reply === undefined || reply === '') this.#onStatus(message);
    else if (this.#placeOf(reply, this.#place)) this.#onRecord(message);
  }

  #onRecord(message: Msg): void {
    const { sequence, delivered, pending } = this.#place;
    if (delivered !== this.#delivered + 1) return this.#fail(`a record was left out (${delivered} after ${this.#delivered})`);
    this.#heardAt = this.#link.environment.clock.now();
    this.#delivered = delivered;
    this.#reached = sequence;
    this.#idle = pending === 0;
    this.#lags = 0;
    this.#wanted -= 1;
    const { fits, withSubject } = this.#plan;
    if (fits === undefined || fits(message)) {
      this.#waitingBytes += message.data.length;
      this.#records.push({ sequence, body: message.data, subject: withSubject === true ? message.subject : '' });
    }
    if (this.#wanted <= 0) this.#pullMore();
    this.nudge();
  }

  #onStatus(message: Msg): void {
    this.#heardAt = this.#link.environment.clock.now();
    const code = message.headers?.code ?? 0;
    if (code === 100) return this.#onIdle();
    if (message.subject !== this.#inbox + this.#pull) return;
    if (code === 503 && !this.#created) {
      this.#link.onEarlyPullLost();
      this.#wanted = 0;
      return;
    }
    const text = message.headers?.description ?? '';
    const ended = code === 404 || code === 408 || (code === 409 && /MaxBytes|Batch Completed/i.test(text));
    if (!ended) return this.#fail(`the server ended the delivery: ${code} ${text}`);
    // A message that is larger than what was asked for, stored through a server that takes larger ones.
    if (code === 409 && this.#wanted === this.#plan.countMax) this.#bytesMax = Math.min(this.#bytesMax * 2, messageBytesMax);
    this.#wanted = 0;
    this.#pullMore();
  }

  /** The server has nothing to deliver now, by what it has. */
  #onIdle(): void {
    if (this.#reached < this.#end) {
      this.#lags += 1;
      if (this.#lags > lagsMax) this.#fail('the copy of the log that was asked lags behind');
      return;
    }
    if (this.#idle) return;
    this.#idle = true;
    this.nudge();
  }

  #fail(reason: string): void {
    if (this.#fault !== undefined) return;
    this.#fault = reason;
    this.nudge();
  }

  #listenForLife(): void {
    const { clock } = this.#link.environment;
    const setAt = clock.now();
    this.#timer = clock.setTimer(heartbeatMs, () => {
      const now = clock.now();
      const stood = now - setAt >= 2 * heartbeatMs;
      const isSilent = !stood && this.#wanted > 0;
      if (isSilent && now - this.#heardAt > silenceMaxMs) return this.#fail('the server fell silent');
      // The first request may have been lost where it came before the consumer; one that waits at the server is answered by heartbeats.
      if (isSilent && this.#pull === 1 && this.#delivered === 0 && now - this.#heardAt > heartbeatMs * 1.5) {
        this.#link.onEarlyPullLost();
        this.#wanted = 0;
        this.#pullMore();
      }
      this.#listenForLife();
    });
  }
}
