/** Imported into a node: SIGUSR2 moves its wall clock by an hour, forward first and then back, again and again. */
const hour = 3_600_000;
const real = Date.now;
let shiftMs = 0;
process.on('SIGUSR2', () => {
  shiftMs = shiftMs === 0 ? hour : shiftMs > 0 ? -hour : 0;
});
Date.now = () => real() + shiftMs;
