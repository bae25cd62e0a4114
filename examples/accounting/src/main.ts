// Imports nothing by itself, so that a Node that is too old gets as far as saying so.
const major = Number.parseInt(process.versions.node, 10);
if (major < 24) {
  console.error(`The accounting demo needs Node 24 or newer; this is Node ${process.versions.node}.`);
  process.exit(1);
}
// Later starts take a third of the time.
process.getBuiltinModule('node:module').enableCompileCache(`${import.meta.dirname}/../../../.cache/compile`);
const { runAccounting } = await import('./demo.ts');
await runAccounting();
