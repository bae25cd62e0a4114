import { describe, expect, test } from 'vitest';
import { formatMoney, Money, parseMoney, showMoney } from './money.ts';

describe('money', () => {
  test.each([
    ['1000.00', 100_000n, '1000.00'],
    ['1000', 100_000n, '1000.00'],
    ['1000.5', 100_050n, '1000.50'],
    ['0.01', 1n, '0.01'],
    ['-0.05', -5n, '-0.05'],
    ['-12.30', -1_230n, '-12.30'],
    ['0', 0n, '0.00'],
    ['999999999999999.99', 99_999_999_999_999_999n, '999999999999999.99'],
  ])('%s is %d cents', (text, cents, written) => {
    expect(parseMoney(text)).toBe(cents);
    expect(formatMoney(cents)).toBe(written);
  });

  test('0.10 and 0.20 are 0.30, which binary fractions are not', () => {
    expect(formatMoney(parseMoney('0.10') + parseMoney('0.20'))).toBe('0.30');
  });

  test('a balance of twelve digits keeps its cents', () => {
    expect(formatMoney(parseMoney('123456789012.34') + 1n)).toBe('123456789012.35');
  });

  test.each(['', '.5', '1.', '1.234', '1,00', '1e3', '0x10', ' 1', '1 ', '+1', '--1', '1234567890123456', 'NaN', '１'])(
    '"%s" is refused',
    (text) => {
      expect(() => parseMoney(text)).toThrow(RangeError);
      expect(Money.safeParse(text).success).toBe(false);
    },
  );

  test('of JSON: decimal texts and whole numbers, no fractions', () => {
    expect(Money.parse('0.10')).toBe(10n);
    expect(Money.parse(7)).toBe(700n);
    expect(Money.parse(-7)).toBe(-700n);
    for (const no of [0.1, 1e300, Number.NaN, null, true, {}, undefined]) expect(Money.safeParse(no).success).toBe(false);
  });

  test('for people it has no cents where there are none', () => {
    expect([15_000n, 15_050n, 0n, -100n].map(showMoney)).toEqual(['150', '150.50', '0', '-1']);
  });
});
