/** A text of a source file and what is put in its place. It must be there exactly once. */
export interface Edit {
  /** Under packages/core/src. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A fault planted into a copy of the code. */
export interface Plant {
  readonly name: string;
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Kinds of faults under which it is sought, where those that the seed chooses would take long. */
  readonly faults?: readonly string[];
}

const leaseFile = 'cluster/lease.ts';

/** Each takes away something that safety rests on. The simulator has to find every one of them. */
export const plants: readonly Plant[] = [
  {
    name: 'lease-from-acknowledgement',
    what: 'the deadline of a lease counts from the acknowledgement instead of the send',
    edits: [
      {
        file: leaseFile,
        from: 'if (!this.#resigned) this.#extend(attempt.sentAt);',
        to: 'if (!this.#resigned) this.#extend({ now: this.#options.clock.now(), wall: this.#options.clock.wall() });',
      },
    ],
  },
  {
    name: 'no-check-before-reply',
    what: 'the check of the lease before a reply is removed',
    edits: [
      { file: 'actor/reply-gate.ts', from: 'if (!this.#guard.mayAct(now)) return false;', to: '' },
      {
        file: 'cluster/session.ts',
        from: 'mayFlush: () => link.up && (this.#isRetired || lease.mayAct(clock.now())),',
        to: 'mayFlush: () => link.up,',
      },
    ],
  },
  {
    name: 'cached-lease',
    what: 'a boolean that a timer updates says whether the lease holds',
    edits: [
      {
        file: leaseFile,
        from: '  mayAct(now: number): boolean {',
        to: '  isLeaseValid = true;\n\n  mayAct(_now: number): boolean {\n    return this.isLeaseValid;\n  }\n\n  reallyMayAct(now: number): boolean {',
      },
      {
        file: leaseFile,
        from: '  #beat(): void {\n',
        to: '  #beat(): void {\n    this.isLeaseValid = this.reallyMayAct(this.#options.clock.now());\n',
      },
      { file: leaseFile, from: '    const gap = !this.mayAct(now);', to: '    const gap = !this.reallyMayAct(now);' },
      {
        file: leaseFile,
        from: '    if (!this.mayAct(now)) return;\n    if (gap)',
        to: '    this.isLeaseValid = this.reallyMayAct(now);\n    if (gap)',
      },
    ],
  },
  {
    name: 'take-over-without-waiting',
    what: 'a shard is claimed as soon as placement wants it elsewhere',
    edits: [{ file: 'cluster/claim-rule.ts', from: 'return wished && members.isGone(record);', to: 'return wished;' }],
  },
  {
    name: 'eviction-without-margin',
    what: 'a member is evicted after leaseMs, without the margin for clocks that run at different rates',
    edits: [
      {
        file: 'cluster/ownership-parts.ts',
        from: 'patienceMs: settings.leaseMs + settings.marginMs,',
        to: 'patienceMs: settings.leaseMs,',
      },
    ],
  },
  {
    name: 'release-before-turn-ended',
    what: 'a shard is released while a turn runs',
    edits: [
      {
        file: 'actor/shard-closer.ts',
        from: '    await this.#quiet(slot, busy, endsAt);\n    for (const [address, activation] of this.#leaving)',
        to: '    for (const [address, activation] of this.#leaving)',
      },
      {
        file: 'actor/shard-closer.ts',
        from: '    for (const activation of slot.activations()) this.#o.runner.abandon(activation);\n',
        to: '',
      },
      {
        file: 'actor/shard-closer.ts',
        from: '      runner.abandon(activation);\n      leave(activation);\n',
        to: '      leave(activation);\n',
      },
    ],
  },
  {
    name: 'decision-on-a-read',
    what: 'an observer evicts the revision that it has just read instead of the one that it saw unchanged',
    edits: [
      {
        file: 'cluster/evictor.ts',
        from: 'let outcome = await store.write(key, value, revision);',
        to: 'let outcome = await store.write(key, value, (await store.read(key))?.revision ?? 0);',
      },
    ],
  },
  {
    name: 'retry-of-unknown',
    what: 'a request of unknown outcome is sent again without an idempotency key',
    edits: [
      {
        file: 'cluster/pending.ts',
        from: 'return this.options.idempotent === true || this.options.idempotencyKey !== undefined;',
        to: 'return true;',
      },
    ],
  },
  {
    name: 'two-activations',
    what: 'two first requests to a key make two activations',
    edits: [
      {
        file: 'actor/actor-host.ts',
        from: 'const activation = slot.find(type, request.key) ?? this.#create(slot, type, request);',
        to: "const known = slot.find(type, request.key);\n    const activation = known?.status === 'activating' ? this.#create(slot, type, request) : (known ?? this.#create(slot, type, request));",
      },
    ],
  },
  {
    name: 'observer-without-lease',
    what: 'an observer counts time in which its own lease did not hold',
    edits: [
      {
        file: 'cluster/session.ts',
        from: 'leaseHeldSince: () => this.#lease.heldSince(clock.now()),',
        to: 'leaseHeldSince: () => Number.NEGATIVE_INFINITY,',
      },
    ],
  },
  {
    name: 'claim-without-compare-and-set',
    what: 'a claim overwrites whatever record it finds',
    edits: [
      {
        file: 'cluster/settled-write.ts',
        from: 'const outcome = await store.write(key, value, write.revision);',
        to: 'const outcome = await store.write(key, value, (await store.read(key))?.revision ?? 0);',
      },
    ],
  },
  {
    name: 'repeats-not-remembered',
    what: 'the remembered replies do not move with their actor',
    edits: [
      {
        file: 'actor/shard-closer.ts',
        from: 'carried.push({ type: type.name, key, state: state.copy, ...(window && { window }), ...(timers && { timers }) });',
        to: 'carried.push({ type: type.name, key, state: state.copy, ...(timers && { timers }) });',
      },
    ],
  },
  {
    name: 'no-fence',
    what: 'a new owner of a stream does not fence it before its first turn',
    edits: [
      {
        file: 'durable/loader.ts',
        from: 'if (!head.ended && (isOthers || doubts.isDoubtful(key, head.sequence))) {',
        to: 'if (head.ended && (isOthers || doubts.isDoubtful(key, head.sequence))) {',
      },
    ],
  },
  {
    name: 'empty-on-any-word',
    what: 'a new owner takes an actor for new on the word of a log that may be older than its claim',
    faults: ['stale-log', 'drain', 'crash'],
    edits: [
      {
        file: 'durable/barriers.ts',
        from: 'reached: this.#log.barrier() }',
        to: 'reached: Promise.resolve(0) }',
      },
    ],
  },
  {
    name: 'append-without-compare-and-set',
    what: 'the log takes an append whatever record it expects',
    edits: [
      {
        file: 'memory/log-table.ts',
        from: "if ((head?.sequence ?? 0) !== expectedSequence || (head?.epoch ?? 0) > epoch) return { kind: 'conflict' };",
        to: "if (expectedSequence < 0 || epoch < 0) return { kind: 'conflict' };",
      },
    ],
  },
  {
    name: 'reply-before-acknowledgement',
    what: 'a command is answered when its commit was sent, before the store acknowledged it',
    edits: [{ file: 'durable/commit-cycle.ts', from: 'return concluding;', to: 'return this.#released(turn, value);' }],
  },
  {
    name: 'reply-not-in-commit',
    what: 'the reply of a command with an idempotency key is not stored with its effect',
    edits: [{ file: 'durable/turn-notes.ts', from: 'const reply = replyNote(turn, value);', to: 'const reply = undefined;' }],
  },
  {
    name: 'replies-age-by-wall-clock',
    what: 'stored replies are as old as the wall clock of the node says',
    edits: [{ file: 'events/bookkeeping.ts', from: 'return Number.isNaN(this.#now) ? wall : this.#now + ', to: 'return wall + 0 * ' }],
  },
  {
    name: 'stale-not-reloaded',
    what: 'an actor of whose last commit nobody knows whether it is stored goes on with what is in memory',
    edits: [
      {
        file: 'durable/commit-cycle.ts',
        from: 'return activation.extras?.held instanceof HeldActor && activation.extras.held.stale;',
        to: 'return activation.extras === undefined;',
      },
    ],
  },
];
