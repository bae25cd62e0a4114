/** What a node tells the process that supervises it, over Node's own channel between parent and child. */
export interface IncarnationMessage {
  readonly perkey: 'incarnation';
  readonly nodeId: string;
  readonly incarnation: string;
}

/** Set in the environment of a supervised child. */
export const supervisedVariable = 'PERKEY_SUPERVISED';

/** A wedged child does not end by itself; one that drains gets this long. */
const endTimeoutMs = 10_000;

/**
 * For the program of a node: tells the supervisor which incarnation the node has taken, so that it can be evicted the moment the process
 * is dead. Called once for each incarnation, as soon as it is known. Does nothing in a process without a supervisor.
 */
export function reportIncarnation(nodeId: string, incarnation: string): void {
  if (process.env[supervisedVariable] === undefined || process.send === undefined || !process.connected) return;
  const message: IncarnationMessage = { perkey: 'incarnation', nodeId, incarnation };
  process.send(message);
  followSupervisor();
}

/**
 * For the program of a node: ends this process when its supervisor is gone, as by SIGTERM, and for good 10 s later. May be called again;
 * does nothing in a process without a supervisor. `reportIncarnation` calls it.
 */
export function followSupervisor(): void {
  if (process.env[supervisedVariable] === undefined || !process.connected) return;
  if (process.listeners('disconnect').includes(endWithSupervisor)) return;
  process.once('disconnect', endWithSupervisor);
  // A listener alone would keep the process alive.
  process.channel?.unref();
}

function endWithSupervisor(): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), endTimeoutMs).unref();
  process.kill(process.pid, 'SIGTERM');
}

/** The incarnation in a message of the child, where it is one. */
export function incarnationIn(message: unknown, nodeId: string): string | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const { perkey, nodeId: of, incarnation } = message as Record<string, unknown>;
  if (perkey !== 'incarnation' || of !== nodeId || typeof incarnation !== 'string' || incarnation === '') return undefined;
  return incarnation;
}
