import { hash } from 'node:crypto';

/** SHA-256 of a text (as UTF-8) or of bytes. */
export function sha256(data: string | Uint8Array): Uint8Array {
  return hash('sha256', data, 'buffer');
}

/** SHA-256 in 43 characters of `A-Z a-z 0-9 _ -`, fit for subjects, record keys and file names. */
export function digestName(text: string): string {
  return hash('sha256', text, 'base64url');
}
