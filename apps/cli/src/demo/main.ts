/** `npm run demo`: runs tasks on a real repository, in a stack of its own, and checks the results. */
process.env['COPPICE_LOG_LEVEL'] ??= 'fatal';

const { runDemo } = await import('./demo.ts');
process.exitCode = await runDemo(process.argv.slice(2));
