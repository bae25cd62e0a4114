import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Found } from './plant-program.ts';
import type { Edit, Plant } from './plants.ts';

const root = join(import.meta.dirname, '../../..');
const run = promisify(execFile);

export interface PlantRun {
  readonly firstSeed: number;
  /** Simulated minutes that are spent at most. */
  readonly minutesMax: number;
  readonly worldMinutes: number;
  readonly shrinkRunsMax: number;
}

/** What core imports at run time lies beside the copy. */
function linkDependencies(copy: string): void {
  const manifest = JSON.parse(readFileSync(join(root, 'packages/core/package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(copy, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), link);
  }
}

/** Simulates a copy of the code with the fault in it until something fails; `undefined` when nothing did. Throws where the code is not as the plant expects. */
export async function findPlant(
  plant: Plant,
  { firstSeed, minutesMax, worldMinutes, shrinkRunsMax }: PlantRun,
): Promise<Found | undefined> {
  const copy = mkdtempSync(join(tmpdir(), 'perkey-plant-'));
  try {
    const core = join(copy, 'packages/core');
    mkdirSync(core, { recursive: true });
    cpSync(join(root, 'packages/core/src'), join(core, 'src'), { recursive: true });
    cpSync(join(root, 'packages/core/package.json'), join(core, 'package.json'));
    cpSync(join(root, 'test/simulation/support'), join(copy, 'test/simulation/support'), { recursive: true });
    writeFileSync(join(copy, 'package.json'), '{ "type": "module" }');
    mkdirSync(join(copy, 'node_modules/@perkey'), { recursive: true });
    symlinkSync(core, join(copy, 'node_modules/@perkey/core'));
    linkDependencies(copy);
    for (const edit of plant.edits) apply(join(core, 'src'), edit);
    const program = join(copy, 'test/simulation/support/plant-program.ts');
    const args = [firstSeed, minutesMax, worldMinutes, shrinkRunsMax, plant.faults?.join(',') ?? ''].map(String);
    const { stdout } = await run(process.execPath, ['--conditions=@perkey/source', program, ...args], { cwd: copy });
    return (JSON.parse(stdout) as Found | null) ?? undefined;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function apply(src: string, { file, from, to }: Edit): void {
  const path = join(src, file);
  const text = readFileSync(path, 'utf8');
  const places = text.split(from).length - 1;
  if (places !== 1) throw new Error(`${file} holds ${places} times, and not once: ${from}`);
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
}
