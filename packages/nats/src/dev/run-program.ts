import { execFile } from 'node:child_process';

export interface ProgramResult {
  /** -1 when the program could not be started or did not end in time. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end in the C locale; never rejects. What does not end in time is killed. */
export function runProgram(program: string, args: readonly string[], options: { cwd?: string; timeoutMs: number }): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const settings = { cwd: options.cwd, timeout: options.timeoutMs, killSignal: 'SIGKILL', maxBuffer: 16_777_216 } as const;
    execFile(program, args, { ...settings, env: { ...process.env, LC_ALL: 'C' } }, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (error.killed === true) resolve({ code: -1, stdout, stderr: `${program} did not end within ${options.timeoutMs} ms` });
      else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
      else resolve({ code: -1, stdout, stderr: error.message });
    });
  });
}
