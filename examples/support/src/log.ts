import { type Logger, pino } from 'pino';

/** JSON lines where the output is piped, readable lines on a terminal. Written at once, so that the last line before an end is there. */
export async function createLog(level: string): Promise<Logger> {
  const options = { level, base: null };
  if (!process.stdout.isTTY) return pino(options, pino.destination({ dest: 1, sync: true }));
  const { default: pretty } = await import('pino-pretty');
  return pino(options, pretty({ sync: true, singleLine: true, translateTime: 'HH:MM:ss.l' }));
}

/** For the parts of the library: what a user of the demo need not see is left out, unless all is to be seen. */
export function libraryLog(log: Logger): Logger {
  return log.isLevelEnabled('debug') ? log : log.child({}, { level: 'warn' });
}
