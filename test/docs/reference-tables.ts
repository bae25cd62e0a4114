import { callerOptions, errorCatalogue, nodeOptions, type OptionRow, optionRows, type OptionTable } from '@perkey/core';
import { jetstreamOptionTable, natsOptionTable, supervisorOptionTable } from '@perkey/nats';
import { readModelOptionTable, sqliteOptionTable } from '@perkey/sqlite';
import { demoSettings, nodeSettings } from '../../examples/counter/src/settings.ts';
import { code, markdownTable, type Tables } from './page-tables.ts';

/** The tables of the pages that come from the tables in the code. */
export function referenceTables(): Tables {
  return {
    'options of callers': optionTable(callerOptions),
    'options of nodes': optionTable(without(nodeOptions, callerOptions)),
    'options of nats': optionTable(natsOptionTable),
    'options of jetstream': optionTable(jetstreamOptionTable),
    'options of sqlite': optionTable(sqliteOptionTable),
    'options of the read model': optionTable(readModelOptionTable),
    'options of the supervisor': optionTable(supervisorOptionTable),
    'settings of the demo': settingTable(demoSettings),
    'settings of a demo node': settingTable(nodeSettings),
    errors: errorTable(),
  };
}

function without(table: OptionTable, left: OptionTable): OptionTable {
  return Object.fromEntries(Object.entries(table).filter(([name]) => !Object.hasOwn(left, name)));
}

function optionTable(table: OptionTable): string {
  const rows = optionRows(table).map((row) => [code(row.name), defaultOf(row), boundsOf(row), code(row.env), row.help]);
  return markdownTable(['option', 'default', 'bounds', 'environment', 'what it is'], rows);
}

function settingTable(table: OptionTable): string {
  const rows = optionRows(table).map((row) => {
    if (row.kind !== 'flag') return [code(flagOf(row.name)), defaultOf(row), boundsOf(row), code(row.env), row.help];
    // A flag that is on is told by how to switch it off.
    const isOn = row.default === 'true';
    return [code(flagOf(isOn ? `no-${row.name}` : row.name)), 'not set', '', code(`${row.env}=${String(!isOn)}`), row.help];
  });
  return markdownTable(['flag', 'default', 'bounds', 'environment', 'what it is'], rows);
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** An option without a default has to be given, unless its value is kept out of tables. */
function defaultOf({ default: usual, kind, min }: OptionRow): string {
  if (usual !== '') return code(usual);
  return kind === 'text' && min === '0' ? 'empty' : 'none: must be given';
}

function boundsOf({ kind, min, max, unit }: OptionRow): string {
  if (kind === 'flag') return 'true or false';
  if (kind === 'choice') return '';
  return `${number(min)} to ${number(max)}${unit === '' ? '' : ` ${unit}`}`;
}

function number(text: string): string {
  return /^\d+$/.test(text) ? Number(text).toLocaleString('en-US') : text;
}

function errorTable(): string {
  const rows = Object.entries(errorCatalogue).map(([name, { executed, retry, meaning }]) => [
    code(name),
    executed,
    retry === 'route' ? 'waits and sends again' : '',
    meaning,
  ]);
  return markdownTable(['code', 'executed', 'what the runtime does by itself', 'meaning'], rows);
}
