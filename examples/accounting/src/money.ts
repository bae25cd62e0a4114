import { z } from 'zod';

/** At most fifteen digits before the point, and two behind it. */
const form = /^-?\d{1,15}(\.\d{1,2})?$/;

/**
 * An amount of money in minor units, such as cents: an exact integer, never a binary fraction. People and JSON write it as a decimal text
 * (`"1000.00"`), or as a whole number of units.
 */
export const Money = z.union([
  z.bigint(),
  z.string().regex(form, 'an amount such as "1000.00"').transform(parseMoney),
  z.int().transform((units) => BigInt(units) * 100n),
]);

/** `1000.5` is 100050 cents. Throws `RangeError` for a text of another form. */
export function parseMoney(text: string): bigint {
  if (!form.test(text)) throw new RangeError('an amount is a decimal such as 1000.00');
  const [whole = '0', fraction = ''] = text.split('.');
  const cents = BigInt(whole.replace('-', '')) * 100n + BigInt(fraction.padEnd(2, '0'));
  return text.startsWith('-') ? -cents : cents;
}

/** 100050 cents are `1000.50`. */
export function formatMoney(cents: bigint): string {
  const digits = (cents < 0n ? -cents : cents).toString().padStart(3, '0');
  return `${cents < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

/** For people: 15000 cents are `150`, 15050 are `150.50`. */
export function showMoney(cents: bigint): string {
  return formatMoney(cents).replace(/\.00$/, '');
}
