/** Where a delivered message stands: its sequence in the stream, its number in the consumer, and how many more the consumer has for now. */
export interface Place {
  sequence: number;
  delivered: number;
  pending: number;
}

/** Fills `place` from the reply subject of a delivered message; false where it is none of this consumer. */
export type PlaceReader = (reply: string, place: Place) => boolean;

/**
 * The reply subject is `$JS.ACK.<stream>.<consumer>.<n>.<sequence>.<delivered>.<time>.<pending>`, and on a server with a domain
 * `$JS.ACK.<domain>.<account>.<stream>.<consumer>.<n>.<sequence>.<delivered>.<time>.<pending>[.<token>]`.
 */
export function placeReader(natsStream: string, consumer: string): PlaceReader {
  const names = `${natsStream}.${consumer}.`;
  const short = `$JS.ACK.${names}`;
  return (reply, place) => {
    let at = short.length;
    if (!reply.startsWith(short)) {
      const found = reply.startsWith('$JS.ACK.') ? reply.indexOf(`.${names}`) : -1;
      if (found < 0) return false;
      at = found + names.length + 1;
    }
    let number = 0;
    let index = 0;
    for (let i = at; i <= reply.length; i += 1) {
      const char = i === reply.length ? 0x2e : reply.charCodeAt(i);
      if (char === 0x2e) {
        if (index === 1) place.sequence = number;
        else if (index === 2) place.delivered = number;
        else if (index === 4) {
          place.pending = number;
          return Number.isSafeInteger(place.sequence) && place.sequence > 0;
        }
        index += 1;
        number = 0;
      } else if (char >= 0x30 && char <= 0x39) number = number * 10 + char - 0x30;
      else return false;
    }
    return false;
  };
}
