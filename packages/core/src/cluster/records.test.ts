import { expect, test } from 'vitest';
import { type MemberRecord, parseMember, renewedMember } from './records.ts';

const text = (n: string, more = ''): string =>
  `{"nodeId":"a","inbox":"i","weight":1,"types":{"cart":"1"},"state":"active","protocol":1,"incarnation":"1-a"${more},"n":${n}}`;
const record = (n: string): MemberRecord => parseMember(text(n)) as MemberRecord;
const renewed = (before: string, after: string): MemberRecord | undefined => renewedMember({ text: before, record: record('1') }, after);

test('a renewal is read from the end of its text, and says what the whole text says', () => {
  for (const n of ['0', '2', '10', '99', '123456789012345']) {
    expect(renewed(text('1'), text(n))).toEqual(record(n));
    expect(renewed(text(n), text('2'))).toEqual(record('2'));
  }
});

test('what differs in more than its n is no renewal', () => {
  const others = [
    text('2').replace('"a"', '"b"'),
    text('2').replace('"active"', '"gone"'),
    text('2', ',"links":1'),
    text('2').replace(',"n":2}', ',"m":2}'),
    text('2').replace(',"n":2}', ', "n":2}'),
    text('2').slice(0, -1),
    `${text('2')}}`,
    `${text('2')} `,
    ...['', '02', '00', '-1', '1.5', '1e3', '"2"', '1234567890123456', '2 ', 'null'].map((n) => text(n)),
    '',
    '}',
    '2}',
    ',"n":2}',
  ];
  for (const other of others) {
    expect(renewed(text('1'), other), other).toBeUndefined();
    expect(renewed(other, text('1')), other).toBeUndefined();
  }
});
