import { fromNode, type InboundRequest, noChain, noHeaders, type ReplyPort } from '../../contract/calls.ts';
import type { Bookkeeping } from '../../events/bookkeeping.ts';
import { asReminder, type StoredReminder } from './stored-reminder.ts';

/**
 * The call of its own method that an actor gets when a reminder is due. It runs only while the actor's books still hold that very due time, and the
 * commit of its turn moves that on: so each due time has its effect once, and none after a cancel that was stored.
 */
export class ReminderCall implements InboundRequest {
  readonly id = 0;
  readonly headers: InboundRequest['headers'] = noHeaders;
  readonly chain: InboundRequest['chain'] = noChain;
  readonly idempotencyKey = undefined;
  readonly caller = '';
  readonly source: typeof fromNode = fromNode;
  readonly type: string;
  readonly key: string;
  readonly name: string;
  readonly due: number;
  readonly method: string;
  readonly input: unknown;
  readonly deadline: number;
  readonly reply: ReplyPort;
  /** The handler was called. */
  wasRun = false;

  constructor(
    { type, key }: { readonly type: string; readonly key: string },
    name: string,
    { due, method, input }: StoredReminder,
    deadline: number,
    reply: ReplyPort,
  ) {
    this.type = type;
    this.key = key;
    this.name = name;
    this.due = due;
    this.method = method;
    this.input = input;
    this.deadline = deadline;
    this.reply = reply;
  }

  /** The reminder, if it is still to be called for this due time. */
  dueIn(books: Bookkeeping): StoredReminder | undefined {
    const reminder = asReminder(books.reminders().get(this.name));
    return reminder?.due === this.due ? reminder : undefined;
  }
}
