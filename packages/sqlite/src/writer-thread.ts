import { parentPort, workerData } from 'node:worker_threads';
import { faultOf } from './file-fault.ts';
import { FileWriter } from './file-writer.ts';
import type { Group } from './group.ts';
import { openForWriting, type WriterSettings } from './schema.ts';

/** The thread that writes: opens the file, says how that went, then runs groups until it is told to end. It imports nothing but its own files. */
function serve(settings: WriterSettings): void {
  try {
    const { database, id } = openForWriting(settings);
    const writer = new FileWriter(database);
    parentPort?.on('message', (message: Group | 'end') => {
      if (message !== 'end') return parentPort?.postMessage(writer.run(message));
      database.close();
      parentPort?.close();
    });
    parentPort?.postMessage({ id });
  } catch (error) {
    parentPort?.postMessage({ fault: faultOf(error) });
    parentPort?.close();
  }
}

serve(workerData as WriterSettings);
