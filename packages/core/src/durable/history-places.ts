/** Where a version lies in the log: all events up to it are in records up to this sequence, and no later one is. */
export interface HistoryPlace {
  readonly version: number;
  readonly sequence: number;
}

const beginning: HistoryPlace = Object.freeze({ version: 0, sequence: 0 });
const placesMax = 64;

/** What is known of where the versions of one stream lie, so that not every page of its history is read from the beginning. */
export class HistoryPlaces {
  /** By version, the lowest first. */
  #places: HistoryPlace[] = [];

  get size(): number {
    return this.#places.length;
  }

  note(place: HistoryPlace): void {
    const at = this.#places.findLastIndex(({ version }) => version <= place.version) + 1;
    if (this.#places[at - 1]?.version === place.version || place.version === 0) return;
    this.#places.splice(at, 0, place);
    // Every second one is enough; the last one is where the next page begins.
    if (this.#places.length > placesMax) this.#places = this.#places.filter((_, index) => index % 2 === 0);
  }

  /** Gives the one that is always right. */
  forget(): HistoryPlace {
    this.#places = [];
    return beginning;
  }

  /** The last one known that lies before all later versions than this. */
  before(version: number): HistoryPlace {
    return this.#places.findLast((place) => place.version <= version) ?? beginning;
  }
}
