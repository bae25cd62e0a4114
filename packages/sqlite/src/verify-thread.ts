import { parentPort, workerData } from 'node:worker_threads';
import { checkFile } from './file-check.ts';
import { faultOf } from './file-fault.ts';

/** The thread of `verifySqlite`: one path, one answer. */
function serve(path: string): void {
  try {
    parentPort?.postMessage({ report: checkFile(path) });
  } catch (error) {
    parentPort?.postMessage({ fault: faultOf(error) });
  }
}

serve(workerData as string);
