/** A turn that no caller asked for. */
export abstract class OwnTurn {
  /** For the log. */
  abstract get name(): string;
}

/** A turn in which a durable actor comes into memory, and stores what its runtime has to note of it. */
export class WakeTurn extends OwnTurn {
  override get name(): string {
    return 'wake';
  }
}

/** All of them are alike. */
export const wakeTurn: WakeTurn = Object.freeze(new WakeTurn());
