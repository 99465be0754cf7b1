import { getEventListeners } from 'node:events';
import { constants } from 'node:os';

// The libraries log for services, so their logs are off for a command. The level must be set before the libraries are
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
  // The first Ctrl-C aborts the signal, so that its listeners stop their work in order. If there is no listener, or on
  // a second Ctrl-C, the process ends at once.
  const awaited = getEventListeners(interrupted.signal, 'abort').length > 0;
  if (interrupted.signal.aborted || !awaited) process.exit(128 + constants.signals.SIGINT);
  interrupted.abort(new Error('interrupted'));
});
const terminal = processTerminal();
const environment = { ...process.env, COPPICE_LOG_LEVEL: configuredLevel };
const session = { terminal, environment, interrupted: interrupted.signal };
// If tracing is off, this loads no tracing library.
const telemetry = await startTelemetry({ serviceName: 'coppice', instanceId: `${process.pid}` });
const exitCode = await runProgram(process.argv.slice(2), session);
await telemetry.shutdown();
// Waits until stdout is flushed, since a write to a pipe may be incomplete. Then exits, since a connection that tries
// to reconnect would keep the process running.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit(exitCode);
