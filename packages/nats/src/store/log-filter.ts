import type { LogFilter } from '@perkey/core';
import { isToken } from '../subjects.ts';
import type { LogNames, StreamSubjects } from './store-names.ts';

/** What a read asks for, in subjects. */
export type SubjectFilter =
  | { readonly is: 'nothing' }
  | { readonly is: 'all' }
  | { readonly is: 'stream'; readonly subject: string }
  | { readonly is: 'types'; readonly subjects: readonly string[]; readonly fits: (subject: string) => boolean };

export function subjectFilter({ prefix }: LogNames, subjects: StreamSubjects, { types, stream }: LogFilter): SubjectFilter {
  if (stream !== undefined) {
    const subject = types === undefined || types.includes(stream.type) ? subjects.of(stream) : undefined;
    return subject === undefined ? { is: 'nothing' } : { is: 'stream', subject };
  }
  if (types === undefined) return { is: 'all' };
  const tokens = new Set(types.filter(isToken));
  if (tokens.size === 0) return { is: 'nothing' };
  return {
    is: 'types',
    subjects: [...tokens].map((type) => `${prefix}${type}.*`),
    fits: (subject) => tokens.has(subject.slice(prefix.length, subject.indexOf('.', prefix.length))),
  };
}
