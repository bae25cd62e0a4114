/**
 * Imported into a node: its monotonic clock does not see what is longer than this, as that of a machine that is suspended does not see the
 * time for which it slept. A process that is stopped and continued then looks to itself as if nothing had been, but for the wall clock.
 */
const longestMs = 1_000;
const real = performance.now.bind(performance);
let last = real();
let missedMs = 0;
performance.now = () => {
  const now = real();
  if (now - last > longestMs) missedMs += now - last;
  last = now;
  return now - missedMs;
};
setInterval(() => performance.now(), 100).unref();
