export { type SqliteOptions, type SqliteOptionTable, sqliteOptionTable } from './options.ts';
export { sqlite } from './sqlite.ts';
export { type ReadModelLimits, type ReadModelOptionTable, readModelOptionTable } from './read-model-options.ts';
export {
  type ReadModelOptions,
  type SqliteReadModel,
  sqliteReadModel,
  type SqlRow,
  type SqlTransaction,
  type SqlValue,
} from './sqlite-read-model.ts';
export { type SqliteReport, verifySqlite } from './verify-sqlite.ts';
