/**
 * Loaded into a program before its own code (`--import`): answers `heap` on the channel to its parent with the size of its heap after a forced
 * collection, and ends the program with its parent. Does not keep the program alive.
 */
process.on('message', (message) => {
  if (message !== 'heap') return;
  for (let i = 0; i < 4; i += 1) globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  process.send?.({ heapUsed, rss });
});
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
