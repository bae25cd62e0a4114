/** Bounds of one encoded value, checked where it is written and again where it is read. */
export interface CodecLimits {
  /** How many arrays and objects may lie inside each other. */
  readonly depthMax: number;
  /** How many array elements and object properties there may be in total. */
  readonly nodesMax: number;
  /** The longest bigint, in bytes; conversion from and to text grows faster than the length. */
  readonly bigintBytesMax: number;
}

export const defaultCodecLimits: CodecLimits = Object.freeze({ depthMax: 64, nodesMax: 20_000, bigintBytesMax: 1_024 });

/** MessagePack extension types that may travel. Every other one is refused. */
export const extension = { undefined: 0x00, bigint: 0x42, timestamp: 0xff } as const;

/** The one property name that assigning would turn into a change of prototype; refused on both sides. */
export const forbiddenName = '__proto__';
