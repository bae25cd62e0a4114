import { hash } from 'node:crypto';

/** SHA-256 of a text (as UTF-8) or of bytes. */
export function sha256(data: string | Uint8Array): Uint8Array {
  return hash('sha256', data, 'buffer');
}

/** SHA-256 in 43 characters of `A-Z a-z 0-9 _ -`, fit for subjects, record keys and file names. */
export function digestName(text: string): string {
  return hash('sha256', text, 'base64url');
}

/** The first 128 bits of the SHA-256 of bytes, in 32 hexadecimal digits: the form that costs the least to compute. */
export function digestHex(data: Uint8Array): string {
  return hash('sha256', data, 'hex').slice(0, 32);
}
