import { writeFile } from 'node:fs/promises';
import { type Profiler, Session } from 'node:inspector/promises';

const samplingUs = 200;

/** Takes a CPU profile of this process. */
export class CpuProfile {
  #session: Session | undefined;

  async start(): Promise<void> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: samplingUs });
    await session.post('Profiler.start');
    this.#session = session;
  }

  /** Writes `<file>` for a viewer and gives the heaviest functions. */
  async stop(file: string): Promise<readonly HeavyFunction[]> {
    const session = this.#session;
    if (session === undefined) throw new Error('no profile was started');
    const { profile } = await session.post('Profiler.stop');
    session.disconnect();
    this.#session = undefined;
    await writeFile(file, JSON.stringify(profile));
    return heaviest(profile);
  }
}

export interface HeavyFunction {
  readonly name: string;
  /** File and line. */
  readonly where: string;
  /** Of the time in which the process was not idle. */
  readonly self_pct: number;
}

const shownMax = 40;

/** By self time; a function that was inlined counts to where it was inlined. */
function heaviest(profile: Profiler.Profile): readonly HeavyFunction[] {
  const byFunction = new Map<string, { name: string; where: string; hits: number }>();
  let busy = 0;
  for (const { callFrame, hitCount = 0 } of profile.nodes) {
    const { functionName, url, lineNumber } = callFrame;
    if (functionName === '(idle)') continue;
    busy += hitCount;
    const where = url === '' ? '' : `${url.split('/').slice(-3).join('/')}:${lineNumber + 1}`;
    const id = `${functionName} ${where}`;
    const entry = byFunction.get(id) ?? { name: functionName || '(anonymous)', where, hits: 0 };
    entry.hits += hitCount;
    byFunction.set(id, entry);
  }
  return [...byFunction.values()]
    .sort((a, b) => b.hits - a.hits)
    .slice(0, shownMax)
    .map(({ name, where, hits }) => ({ name, where, self_pct: Math.round((hits / busy) * 1_000) / 10 }));
}
