import { runWorld } from './worlds.ts';

/** Prints the trace hash of one world. */
const [seed = '1', minutes = '1'] = process.argv.slice(2);
const { report } = await runWorld({ seed: Number(seed), minutes: Number(minutes) });
console.log(report.traceHash);
