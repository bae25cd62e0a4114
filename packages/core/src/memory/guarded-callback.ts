import { describeThrown } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Counter, Metrics } from '../base/metrics.ts';

/** The one way into callbacks of the runtime: what they throw is logged and counted, and never reaches the link. */
export class CallbackGuard {
  readonly #log: Logger;
  readonly #errors: Counter;

  constructor(link: 'data' | 'control', environment: { readonly log: Logger; readonly metrics: Metrics }) {
    this.#log = environment.log;
    this.#errors = environment.metrics.counter(
      'perkey_transport_callback_errors_total',
      'Callbacks of a link that threw; each is a defect of the runtime.',
      { link },
    );
  }

  call(what: string, run: () => void): void {
    try {
      run();
    } catch (thrown) {
      this.#errors.inc();
      this.#log.error({ callback: what, error: describeThrown(thrown) }, 'a callback of the transport threw');
    }
  }
}
