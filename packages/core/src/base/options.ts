import { PerkeyError } from './errors.ts';
import { safeText } from './log-text.ts';

interface CommonSpec {
  /** One sentence for the configuration page and for --help. */
  readonly help: string;
  /** The environment variable that is read where the option is not given. */
  readonly env?: string;
}

/** A number within `min` and `max`, both allowed. Without `default` the option must be given. */
export interface NumberSpec extends CommonSpec {
  readonly kind: 'integer' | 'number';
  readonly default?: number;
  readonly min: number;
  readonly max: number;
  readonly unit?: string;
}

/** Well-formed text of `min` to `max` bytes of UTF-8. */
export interface TextSpec extends CommonSpec {
  readonly kind: 'text';
  readonly default?: string;
  readonly min: number;
  readonly max: number;
  /** The whole text fits `pattern`; `meaning` says in words what that is, after "is not ...". */
  readonly form?: { readonly pattern: RegExp; readonly meaning: string };
  /** The value is kept out of messages, details and tables. */
  readonly secret?: boolean;
}

export interface ChoiceSpec extends CommonSpec {
  readonly kind: 'choice';
  readonly default?: string;
  readonly values: readonly string[];
}

/** In the environment: true, yes, on, 1 or false, no, off, 0. */
export interface FlagSpec extends CommonSpec {
  readonly kind: 'flag';
  readonly default?: boolean;
}

export type OptionSpec = NumberSpec | TextSpec | ChoiceSpec | FlagSpec;

export type OptionTable = Readonly<Record<string, OptionSpec>>;

export type OptionValue<S extends OptionSpec> = S extends NumberSpec
  ? number
  : S extends TextSpec
    ? string
    : S extends ChoiceSpec
      ? S['values'][number]
      : boolean;

/** What a caller may give: any of the table's options; `undefined` counts as not given. */
export type GivenOptions<T extends OptionTable> = { readonly [Name in keyof T]?: OptionValue<T[Name]> | undefined };

export type ResolvedOptions<T extends OptionTable> = { readonly [Name in keyof T]: OptionValue<T[Name]> };

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Each option of the table: the given value, else the environment's, else the default. An empty environment variable counts as not set.
 * Throws `options.invalid` for a value out of its bounds, for a name that the table does not hold, and for one without default that is nowhere set.
 */
export function resolveOptions<const T extends OptionTable>(table: T, given: GivenOptions<T>, env: Environment = {}): ResolvedOptions<T> {
  refuseUnknownNames(table, given);
  const resolved: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(table)) {
    const value: unknown = given[name];
    const text = spec.env === undefined ? undefined : env[spec.env];
    if (value !== undefined) resolved[name] = checked(name, spec, value);
    else if (text !== undefined && text !== '') resolved[name] = parseOption(name, spec, text, spec.env);
    else if (spec.default !== undefined) resolved[name] = checked(name, spec, spec.default);
    else throw missing(name, spec);
  }
  return Object.freeze(resolved) as ResolvedOptions<T>;
}

/**
 * The value of one option written as text, as in a command-line flag or an environment variable; `source` names the place in the message.
 * Throws `options.invalid`.
 */
export function parseOption<const S extends OptionSpec>(name: string, spec: S, text: string, source?: string): OptionValue<S> {
  return checked(name, spec, fromText(spec, text), source, text) as OptionValue<S>;
}

/** One option as a line of a table; '' where there is nothing to say. */
export interface OptionRow {
  readonly name: string;
  readonly kind: OptionSpec['kind'];
  readonly default: string;
  readonly min: string;
  readonly max: string;
  readonly unit: string;
  readonly env: string;
  readonly help: string;
}

/** The table as rows of text, in its order, for the configuration page and for --help. */
export function optionRows(table: OptionTable): readonly OptionRow[] {
  return Object.entries(table).map(([name, spec]) => {
    const hidden = spec.kind === 'text' && spec.secret === true;
    const bounded = spec.kind === 'flag' || spec.kind === 'choice' ? undefined : spec;
    return {
      name,
      kind: spec.kind,
      default: spec.default === undefined || hidden ? '' : String(spec.default),
      min: bounded === undefined ? '' : String(bounded.min),
      max: bounded === undefined ? '' : String(bounded.max),
      unit: unitOf(spec),
      env: spec.env ?? '',
      help: spec.kind === 'choice' ? `${spec.help} One of: ${spec.values.join(', ')}.` : spec.help,
    };
  });
}

function unitOf(spec: OptionSpec): string {
  if (spec.kind === 'text') return 'bytes';
  return spec.kind === 'integer' || spec.kind === 'number' ? (spec.unit ?? '') : '';
}

const integerPattern = /^[+-]?\d{1,16}$/;
const numberPattern = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i;
const flagTexts: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['yes', true],
  ['on', true],
  ['1', true],
  ['false', false],
  ['no', false],
  ['off', false],
  ['0', false],
]);

/** What the text stands for; the text itself where it stands for nothing of this kind, which `fault` then refuses. */
function fromText(spec: OptionSpec, text: string): unknown {
  if (spec.kind === 'integer') return integerPattern.test(text) ? Number(text) : text;
  if (spec.kind === 'number') return numberPattern.test(text) ? Number(text) : text;
  if (spec.kind === 'flag') return flagTexts.get(text.toLowerCase()) ?? text;
  return text;
}

function checked(name: string, spec: OptionSpec, value: unknown, source?: string, written: unknown = value): unknown {
  const wrong = fault(spec, value);
  if (wrong === undefined) return value;
  const hidden = spec.kind === 'text' && spec.secret === true;
  const shown = hidden ? 'the value' : quoted(written);
  const where = source === undefined ? `option ${name}` : `option ${name} (from ${source})`;
  throw new PerkeyError('options.invalid', `${where}: ${shown} is not ${wrong}`, {
    details: {
      option: name,
      ...(source === undefined ? {} : { source }),
      ...(hidden ? {} : { value: safeText(written) }),
      ...('min' in spec ? { min: spec.min, max: spec.max } : {}),
    },
  });
}

/** What the value should have been, or `undefined` where it is that. */
function fault(spec: OptionSpec, value: unknown): string | undefined {
  switch (spec.kind) {
    case 'integer':
    case 'number': {
      const fits = spec.kind === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
      if (fits && (value as number) >= spec.min && (value as number) <= spec.max) return undefined;
      return `${spec.kind === 'integer' ? 'an integer' : 'a number'} from ${spec.min} to ${spec.max}${spec.unit === undefined ? '' : ` ${spec.unit}`}`;
    }
    case 'text': {
      const bytes = typeof value === 'string' && value.isWellFormed() ? Buffer.byteLength(value) : -1;
      if (bytes < spec.min || bytes > spec.max || bytes < 0) return `text of ${spec.min} to ${spec.max} bytes`;
      return spec.form === undefined || fitsWhole(spec.form.pattern, value as string) ? undefined : spec.form.meaning;
    }
    case 'choice':
      return spec.values.includes(value as string) ? undefined : `one of ${spec.values.join(', ')}`;
    case 'flag':
      return typeof value === 'boolean' ? undefined : 'true or false';
  }
}

function fitsWhole(pattern: RegExp, text: string): boolean {
  return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replace(/[gy]/g, '')).test(text);
}

function quoted(value: unknown): string {
  return typeof value === 'string' ? `"${safeText(value)}"` : safeText(value);
}

function missing(name: string, spec: OptionSpec): PerkeyError {
  const ways = spec.env === undefined ? `option ${name}` : `option ${name} or the environment variable ${spec.env}`;
  return new PerkeyError('options.invalid', `${ways} must be set: ${spec.help}`, {
    details: { option: name, ...(spec.env === undefined ? {} : { source: spec.env }) },
  });
}

function refuseUnknownNames(table: OptionTable, given: unknown): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new PerkeyError('options.invalid', `options must be an object, not ${safeText(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(table, name)) continue;
    const near = nearestName(name, Object.keys(table));
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    const details = { option: safeText(name), ...(near === undefined ? {} : { near }) };
    throw new PerkeyError('options.invalid', `there is no option "${safeText(name)}"${hint}`, { details });
  }
}

/** The known name with the fewest single-character edits, where that is at most a third of the longer name; case counts for nothing. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > 64) return undefined;
  let best: string | undefined;
  let bestRatio = 1 / 3;
  for (const candidate of known) {
    const ratio = editDistance(name.toLowerCase(), candidate.toLowerCase()) / Math.max(name.length, candidate.length);
    if (ratio > bestRatio || (ratio === bestRatio && best !== undefined)) continue;
    best = candidate;
    bestRatio = ratio;
  }
  return best;
}

/** Levenshtein distance, by rows (Wagner and Fischer 1974). */
function editDistance(left: string, right: string): number {
  let above = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const swap = (above[column - 1] as number) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(swap, (above[column] as number) + 1, (current[column - 1] as number) + 1));
    }
    above = current;
  }
  return above[right.length] as number;
}
