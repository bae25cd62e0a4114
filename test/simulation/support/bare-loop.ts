import { VirtualClock } from '@perkey/core/testing';

export interface BareLoop {
  readonly processes: number;
  readonly minutes: number;
  /** How many timers and deferred callbacks run in all, about. */
  readonly steps: number;
}

/** The least that a world of so many steps can take: clocks that set a timer again and again, each third step deferred, each with a promise. */
export async function runBareLoop({ processes, minutes, steps }: BareLoop): Promise<void> {
  const wires = new VirtualClock();
  const lengthMs = minutes * 60_000;
  const everyMs = (lengthMs * processes) / (steps * (2 / 3));
  for (let number = 0; number < processes; number += 1) {
    const clock = wires.fork();
    let timers = number % 2;
    const nothing = (): Promise<void> => Promise.resolve().then(() => {});
    const tick = (): void => {
      timers += 1;
      void nothing();
      if (timers % 2 === 0) clock.defer(() => void nothing());
      clock.setTimer(everyMs, tick);
    };
    clock.setTimer((everyMs * number) / processes, tick);
  }
  await wires.advance(lengthMs);
}
