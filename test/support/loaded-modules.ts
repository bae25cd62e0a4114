import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

/** To be imported before a program: writes the URL of every module that the program loads to the file in LOADED_MODULES. */
const file = process.env['LOADED_MODULES'];
if (file === undefined) throw new Error('LOADED_MODULES is not set');
registerHooks({
  load(url, context, next) {
    appendFileSync(file, `${url}\n`);
    return next(url, context);
  },
});
