/** Entry point of the `coppice` command. */
import { getEventListeners } from 'node:events';
import { constants } from 'node:os';

// The libraries' log lines are for services; the command prints its own messages. The log level has to be set before the libraries are
// loaded.
const configuredLevel = process.env['COPPICE_LOG_LEVEL'];
process.env['COPPICE_LOG_LEVEL'] = configuredLevel ?? (process.argv.includes('--foreground') ? 'info' : 'fatal');

const [{ runProgram }, { processTerminal }, { startTelemetry }] = await Promise.all([
  import('./program.ts'),
  import('./output/terminal.ts'),
  import('@coppice/telemetry'),
]);

const interrupted = new AbortController();
process.on('SIGINT', () => {
  // The first Ctrl-C lets the signal's listeners stop their work in order. If there is no listener, or at the second Ctrl-C, the process
  // ends at once.
  const awaited = getEventListeners(interrupted.signal, 'abort').length > 0;
  if (interrupted.signal.aborted || !awaited) process.exit(128 + constants.signals.SIGINT);
  interrupted.abort(new Error('interrupted'));
});
const terminal = processTerminal();
const environment = { ...process.env, COPPICE_LOG_LEVEL: configuredLevel };
const session = { terminal, environment, interrupted: interrupted.signal };
// Traces start here, at the user's command. If tracing is off, this loads no tracing library.
const telemetry = await startTelemetry({ serviceName: 'coppice', instanceId: `${process.pid}` });
const exitCode = await runProgram(process.argv.slice(2), session);
await telemetry.shutdown();
// Waits until stdout is flushed, in case it is a pipe. Then exits at once, since a connection that still tries to reconnect would keep the
// process alive.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit(exitCode);
