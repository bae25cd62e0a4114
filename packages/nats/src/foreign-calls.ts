import { PerkeyError } from '@perkey/core';
import type { Counter, ForeignCall, LinkEnvironment, LogLimiter, ServiceDescription } from '@perkey/core';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { readJsonCall, writeJsonAnswer, writeJsonError } from './json-call.ts';
import type { JsonAnswer } from './json-call.ts';
import { MicroService } from './micro-service.ts';
import { callTarget, isToken, mayTakeAnswers, queueGroup } from './subjects.ts';
import type { CallTarget, Subjects } from './subjects.ts';
import type { Wanted } from './subscription.ts';

const bodyBytesMax = 262_144;
const answerMarginBytes = 4_096;
const inFlightMax = 4_096;

export interface ForeignDoorOptions {
  readonly service: ServiceDescription;
  readonly answer: (call: ForeignCall) => Promise<unknown>;
  readonly subjects: Subjects;
  readonly environment: LinkEnvironment;
  readonly limiter: LogLimiter;
}

/**
 * Calls in JSON from any NATS client. The answer goes wherever the caller's reply subject says, on the data connection, which must
 * therefore have no rights on the buckets; subjects of the server and of Perkey itself are refused here besides.
 */
export class ForeignDoor {
  readonly #options: ForeignDoorOptions;
  readonly #service: MicroService;
  readonly #badReplies: Counter;
  #inFlight = 0;

  constructor(options: ForeignDoorOptions) {
    this.#options = options;
    this.#service = new MicroService(options.service, options.subjects, options.environment.clock);
    const { metrics } = options.environment;
    this.#badReplies = metrics.counter(
      'perkey_nats_bad_reply_subjects_total',
      'Calls in JSON that asked for the answer at a subject where none may go.',
    );
    metrics.observedGauge('perkey_nats_json_calls_in_flight', 'Calls in JSON that are being answered.', () => this.#inFlight);
  }

  subscriptions(nats: NatsConnection): readonly Wanted[] {
    const { subjects, service } = this.#options;
    const callable = service.types.filter(({ type }) => isToken(type));
    const calls = callable
      .flatMap(({ type }) => subjects.calls(type))
      .map((subject): Wanted => ({ subject, queue: queueGroup, onMessage: (message) => void this.#onCall(nats, message) }));
    const discovery = this.#service.subjects().map(({ subject, describe }): Wanted => ({
      subject,
      onMessage: (message) => {
        if (this.#mayAnswer(message)) nats.publish(message.reply ?? '', describe());
      },
    }));
    return [...calls, ...discovery];
  }

  #mayAnswer(message: Msg): boolean {
    const good = mayTakeAnswers(message.reply ?? '');
    if (!good && message.reply) this.#badReplies.inc();
    return good;
  }

  /** Never rejects. A message without a reply subject is one way: executed, not answered. */
  async #onCall(nats: NatsConnection, message: Msg): Promise<void> {
    const wantsAnswer = Boolean(message.reply);
    if (wantsAnswer && !this.#mayAnswer(message)) return;
    const { clock } = this.#options.environment;
    const target = callTarget(this.#options.subjects, message.subject);
    const startedAt = clock.now();
    const bytesMax = (nats.info?.max_payload ?? 1_048_576) - answerMarginBytes;
    let outcome: JsonAnswer;
    this.#inFlight += 1;
    try {
      outcome = writeJsonAnswer(await this.#execute(message, target), bytesMax);
    } catch (error) {
      outcome = writeJsonError(error, bytesMax);
    } finally {
      this.#inFlight -= 1;
    }
    this.#service.count(target, clock.now() - startedAt, outcome.error);
    if (wantsAnswer) this.#publish(nats, message.reply ?? '', outcome);
  }

  #execute(message: Msg, target: CallTarget | undefined): Promise<unknown> {
    if (target === undefined) throw new PerkeyError('request.malformed', 'the subject does not name a type and a method');
    if (this.#inFlight > inFlightMax)
      throw new PerkeyError('node.overloaded', 'this node is answering as many calls in JSON as it may', { retryAfterMs: 100 });
    return this.#options.answer(readJsonCall(message, target, bodyBytesMax));
  }

  #publish(nats: NatsConnection, subject: string, { body, headers }: JsonAnswer): void {
    try {
      if (!nats.isClosed()) nats.publish(subject, body, headers === undefined ? {} : { headers });
    } catch (error) {
      const leftOut = this.#options.limiter.allow('json answer');
      if (leftOut !== undefined) this.#options.environment.log.warn({ err: error, leftOut }, 'an answer in JSON could not be published');
    }
  }
}
