export { type SqliteOptions, type SqliteOptionTable, sqliteOptionTable } from './options.ts';
export { sqlite } from './sqlite.ts';
