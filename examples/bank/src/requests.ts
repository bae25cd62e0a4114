import { Money } from '@perkey/example-accounting/contract';
import { bodyOf, Problem } from '@perkey/example-support/http';
import { z } from 'zod';

const Opening = z.object({
  account_id: z.string().min(1).max(200),
  owner_name: z.string().min(1).max(200),
  initial_balance: Money,
});

const Amount = z.object({ amount: Money });

const Page = z.object({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});

export function openingOf(body: unknown): { readonly id: string; readonly owner: string; readonly initialBalance: bigint } {
  const { account_id: id, owner_name: owner, initial_balance: initialBalance } = checked(Opening, bodyOf(body));
  return { id, owner, initialBalance };
}

export function amountOf(body: unknown): bigint {
  return checked(Amount, bodyOf(body)).amount;
}

export function pageOf(query: unknown): { readonly after: number; readonly limit: number } {
  return checked(Page, query);
}

/** By the names under which it was sent, which are not those of the contract. */
function checked<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, message }) => ({ path: path.map(String), message }));
  throw new Problem(400, 'input.invalid', 'no', 'The request does not hold what it must.', { more: { errors } });
}
