import { errors } from '@nats-io/transport-node';

const subjectsMax = 1_000;

/** How often the server refused what this connection published without an answer, by subject: such a refusal belongs to no message. */
export class PublishRefusals {
  readonly #bySubject = new Map<string, number>();

  note(error: Error): void {
    if (!(error instanceof errors.PermissionViolationError) || error.operation !== 'publish') return;
    const { subject } = error;
    const count = this.of(subject) + 1;
    if (this.#bySubject.size >= subjectsMax && !this.#bySubject.has(subject)) this.#bySubject.clear();
    this.#bySubject.set(subject, count);
  }

  /** Another number than before: refused meanwhile, or no longer known, which is to be taken for the same. */
  of(subject: string): number {
    return this.#bySubject.get(subject) ?? 0;
  }
}
