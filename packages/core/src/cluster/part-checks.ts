import { PerkeyError } from '../base/errors.ts';

type Fits = (value: unknown) => boolean;

const isFunction: Fits = (value) => typeof value === 'function';
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;
const isDefinition: Fits = (value) => isObject(value) && 'contract' in value && 'implementation' in value;

function has(...methods: readonly string[]): Fits {
  return (value) => isObject(value) && methods.every((method) => isFunction(value[method]));
}

interface PartRule {
  readonly isList?: boolean;
  /** The value, or each of its elements. */
  readonly fits: Fits;
  /** After "must be". */
  readonly meaning: string;
}

const partRules: Readonly<Record<string, PartRule>> = {
  transport: { fits: has('openData', 'openControl'), meaning: 'what nats() or memory() gives' },
  actors: { isList: true, fits: isDefinition, meaning: 'a list of what host() or aggregate() of a contract gives' },
  store: { fits: has('open'), meaning: 'what jetstream(), sqlite() or memoryStore() gives' },
  projections: { isList: true, fits: has('handle'), meaning: 'a list of what defineProjection() gives' },
  log: { fits: has('debug', 'info', 'warn', 'error'), meaning: 'a logger with debug, info, warn and error' },
  middleware: { isList: true, fits: isFunction, meaning: 'a list of functions' },
  authorize: { fits: isFunction, meaning: 'a function' },
  onIncarnation: { fits: isFunction, meaning: 'a function' },
};

/** What is no number or text, and so in no table of options. Throws `options.invalid` here rather than at the first call that would meet it. */
export function checkParts(options: object, required: readonly string[]): void {
  const given: Readonly<Record<string, unknown>> = { ...options };
  for (const [name, { isList = false, fits, meaning }] of Object.entries(partRules)) {
    const value = given[name];
    if (value === undefined && !required.includes(name)) continue;
    if (!isList) {
      if (!fits(value)) throw wrongPart(name, name, value, meaning);
    } else if (Array.isArray(value)) {
      const index = value.findIndex((element) => !fits(element));
      if (index >= 0) throw wrongPart(name, `${name}[${index}]`, value[index], meaning);
    } else throw wrongPart(name, name, value, meaning);
  }
}

function wrongPart(option: string, place: string, value: unknown, meaning: string): PerkeyError {
  return new PerkeyError('options.invalid', `option ${place} is ${kindOf(value)}, but ${option} must be ${meaning}`, {
    details: { option },
  });
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return 'methods' in value ? 'a contract' : 'an object of another kind';
}
