/** What is wrong with a file, as a closed set. */
export type FaultReason =
  'full' | 'damaged' | 'read_only' | 'locked' | 'newer' | 'foreign' | 'mismatch' | 'not_a_file' | 'input_output' | 'other';

/** Plain data: it crosses from the writing thread to the store. */
export interface FileFault {
  readonly reason: FaultReason;
  readonly text: string;
}

/** Thrown where the file itself cannot be used, whatever SQLite would say. */
export class UnusableFile extends Error {
  readonly reason: FaultReason;

  constructor(reason: FaultReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Primary result codes of SQLite (sqlite.org/rescode.html); the higher bits of an extended code say more than is needed here. */
const reasons: ReadonlyMap<number, FaultReason> = new Map([
  [5, 'locked'],
  [6, 'locked'],
  [8, 'read_only'],
  [10, 'input_output'],
  [11, 'damaged'],
  [13, 'full'],
  [14, 'input_output'],
  [26, 'foreign'],
]);

const texts: Readonly<Partial<Record<FaultReason, string>>> = {
  full: 'the disk, or the file by its own limit, is full',
  damaged: 'the file is damaged; restore it from a backup, or look at it with verifySqlite',
  read_only: 'the file, its folder or its file system may not be written',
  locked: 'another process holds the file',
  foreign: 'the file is no SQLite database, or its beginning is damaged',
};

/** The fault behind anything that was thrown over a file. */
export function faultOf(error: unknown): FileFault {
  if (error instanceof UnusableFile) return { reason: error.reason, text: error.message };
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : codeOfSystem(error);
  const reason = reasons.get(code) ?? 'other';
  const text = texts[reason];
  return { reason, text: text === undefined ? message : `${text} (${message})` };
}

/** The result code of SQLite that says what a failed call of the file system says. */
function codeOfSystem(error: unknown): number {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') return 13;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 8;
  return code === 'EIO' ? 10 : 0;
}
