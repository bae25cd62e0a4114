/** Thrown where this machine does not allow what is asked for. */
export class CannotRun extends Error {}
