import { optionRows, type OptionTable, parseOption, PerkeyError, type ResolvedOptions, resolveOptions } from '@perkey/core';
import { parseArgs } from 'node:util';

/**
 * The settings of a program: flag, else environment, else default. `undefined`: the user asks for help.
 * Throws `options.invalid`, with the name of the flag or variable.
 */
export function readSettings<const T extends OptionTable>(
  table: T,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ResolvedOptions<T> | undefined {
  const flags = Object.entries(table).map(([name, spec]) => [flagName(name), spec.kind === 'flag' ? 'boolean' : 'string'] as const);
  const options = Object.fromEntries([...flags.map(([flag, type]) => [flag, { type }]), ['help', { type: 'boolean', short: 'h' }]]);
  const values: Readonly<Record<string, unknown>> = parsed(() => parseArgs({ args: [...args], options, allowNegative: true }).values);
  if (values['help'] === true) return undefined;
  const given: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(table)) {
    const value = values[flagName(name)];
    if (typeof value === 'string') given[name] = parseOption(name, spec, value, `--${flagName(name)}`);
    else if (value !== undefined) given[name] = value;
  }
  return resolveOptions(table, given as Parameters<typeof resolveOptions<T>>[1], env);
}

export function helpText(usage: string, table: OptionTable): string {
  const rows = optionRows(table).map(({ name, kind, env, default: usual, help }) => {
    const flag = `--${flagName(name)}`;
    return [kind !== 'flag' ? `${flag} <${kind}>` : usual === 'true' ? `--no-${flagName(name)}` : flag, env, usual, help];
  });
  const lines = [['flag', 'environment', 'default', ''], ...rows, ['--help', '', '', 'Shows this.']];
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return `${usage}\n\n${lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}

function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function parsed<R>(parse: () => R): R {
  try {
    return parse();
  } catch (error) {
    throw new PerkeyError('options.invalid', (error as Error).message.split('. ', 1)[0] as string, { cause: error });
  }
}
