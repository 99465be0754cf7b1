/** `npm run demo`: runs real tasks on a real repository, in a stack of its own, and checks what came of it. */
process.env['COPPICE_LOG_LEVEL'] ??= 'fatal';

const { runDemo } = await import('./demo.ts');
process.exitCode = await runDemo(process.argv.slice(2));
