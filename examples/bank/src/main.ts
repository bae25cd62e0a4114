// Imports nothing by itself, so that a Node that is too old gets as far as saying so, and that a gateway loads nothing of the handler.
const major = Number.parseInt(process.versions.node, 10);
if (major < 24) {
  console.error(`The bank demo needs Node 24 or newer; this is Node ${process.versions.node}.`);
  process.exit(1);
}
// Later starts take a third of the time.
process.getBuiltinModule('node:module').enableCompileCache(`${import.meta.dirname}/../../../.cache/compile`);
const { role, rest } = roleOf(process.argv.slice(2));
if (role === 'sender') await (await import('./gateway.ts')).runGateway(rest);
else if (role === 'handler') await (await import('./handler.ts')).runHandler(rest);
else {
  console.error(`ROLE (or --role) is ${role === '' ? 'not set' : `"${role}"`}; it must be sender, for the gateway, or handler`);
  process.exit(2);
}

/** `--role` comes before what `ROLE` says. */
function roleOf(args: readonly string[]): { readonly role: string; readonly rest: readonly string[] } {
  const at = args.indexOf('--role');
  if (at < 0) return { role: process.env['ROLE'] ?? '', rest: args };
  return { role: args[at + 1] ?? '', rest: args.toSpliced(at, 2) };
}
