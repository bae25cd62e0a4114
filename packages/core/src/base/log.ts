/** Any logger of pino's shape: structured fields first, then a constant message. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child?(fields: Record<string, unknown>): Logger;
}

const drop = (): void => {};

/** A logger that writes nothing. */
export const silentLogger: Logger = { debug: drop, info: drop, warn: drop, error: drop };

/** `logger` with fields added to each line; a logger without `child` is used as it is. */
export function childLogger(logger: Logger, fields: Record<string, unknown>): Logger {
  return logger.child?.(fields) ?? logger;
}
