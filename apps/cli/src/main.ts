/** The `coppice` command as a process. */
import { getEventListeners } from 'node:events';
import { constants } from 'node:os';

// The libraries' own log lines are for services; what a person should know is said by the command itself. Set before they are loaded.
const askedLevel = process.env['COPPICE_LOG_LEVEL'];
process.env['COPPICE_LOG_LEVEL'] = askedLevel ?? (process.argv.includes('--foreground') ? 'info' : 'fatal');

const [{ runProgram }, { processTerminal }, { startTelemetry }] = await Promise.all([
  import('./program.ts'),
  import('./output/terminal.ts'),
  import('@coppice/telemetry'),
]);

const interrupted = new AbortController();
process.on('SIGINT', () => {
  // The first one is for whoever can end in order; where nobody waits for it, or for the second, the process ends at once.
  const awaited = getEventListeners(interrupted.signal, 'abort').length > 0;
  if (interrupted.signal.aborted || !awaited) process.exit(128 + constants.signals.SIGINT);
  interrupted.abort(new Error('interrupted'));
});
const terminal = processTerminal();
const environment = { ...process.env, COPPICE_LOG_LEVEL: askedLevel };
const session = { terminal, environment, interrupted: interrupted.signal };
// A trace begins where somebody asked for something: here. Nothing is loaded while tracing is off.
const telemetry = await startTelemetry({ serviceName: 'coppice', instanceId: `${process.pid}` });
const exitCode = await runProgram(process.argv.slice(2), session);
await telemetry.shutdown();
// What was written may still be on its way into a pipe. Then at once: a connection that looks for a server that is gone would keep us here.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit(exitCode);
