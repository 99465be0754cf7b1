/** The `coppice` command as a process. */
import { constants } from 'node:os';

// The libraries' own log lines are for services; what a person should know is said by the command itself. Set before they are loaded.
process.env['COPPICE_LOG_LEVEL'] ??= 'fatal';

const [{ runProgram }, { processTerminal }] = await Promise.all([
  import('./program.ts'),
  import('./output/terminal.ts'),
]);

const interrupted = new AbortController();
process.on('SIGINT', () => {
  if (interrupted.signal.aborted) process.exit(128 + constants.signals.SIGINT);
  interrupted.abort(new Error('interrupted'));
});
const terminal = processTerminal();
const session = { terminal, environment: process.env, tenant: 'default', interrupted: interrupted.signal };
process.exitCode = await runProgram(process.argv.slice(2), session);
