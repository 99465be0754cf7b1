import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { remoteFrom } from '../stack/connect.ts';
import { describesProviders, takeGatewayEnvironment } from '../stack/gateway-environment.ts';
import { homeFrom } from '../stack/home.ts';
import { requirePassable } from '../stack/passable.ts';
import { imagesFolder, natsServerProgram } from '../stack/programs.ts';
import { StackRuns, runStack } from '../stack/run-stack.ts';
import { embeddedServices, endLeftCommands } from '../stack/services.ts';
import type { EngineChoice } from '../stack/services.ts';
import { runningStack } from '../stack/status.ts';
import { stackRunsExitCode } from '../stack/start-stack.ts';
import { drainMsMax, stopStack } from '../stack/stop-stack.ts';
import { engineNoneMeans } from './run.ts';
import { startedStack } from './session.ts';
import type { CommandResult, Session } from './session.ts';

/** `coppice up`. */
export async function upCommand(
  session: Session,
  options: { foreground: boolean; engine: EngineChoice },
): CommandResult {
  const { terminal, environment } = session;
  refuseElsewhere(environment, 'to start one here');
  if (options.engine === 'none' && !options.foreground)
    terminal.err(terminal.colours.yellow(`WARNING: ${engineNoneMeans}`));
  if (options.foreground) return inForeground(session, options.engine);
  const { home, status, started } = await startedStack(session, options.engine, (line) => terminal.out(line));
  if (started) return exitCodes.done;
  terminal.out(
    `a stack runs already in ${home.root} (process ${status.process.pid}, engine ${status.engine ?? 'unknown'})`,
  );
  if (describesProviders(environment))
    terminal.err(
      'It has read model keys and addresses at its start. To give it those of this shell: coppice down, then coppice up',
    );
  return exitCodes.done;
}

/** @throws CliError if NATS_URL names a remote stack */
function refuseElsewhere(environment: NodeJS.ProcessEnv, purpose: string): void {
  if (remoteFrom(environment) === null) return;
  throw new CliError(
    exitCodes.badInput,
    `NATS_URL is set, which names a stack that runs elsewhere: unset it ${purpose}`,
  );
}

async function inForeground(session: Session, engine: EngineChoice): CommandResult {
  const home = homeFrom(session.environment);
  requirePassable(home, engine);
  const gatewayEnvironment = takeGatewayEnvironment(process.env);
  const stopping = new AbortController();
  const stop = () => stopping.abort(new Error('a stop was requested'));
  process.on('SIGTERM', stop);
  session.interrupted.addEventListener('abort', stop, { once: true });
  try {
    await runStack({
      home,
      natsProgram: natsServerProgram(session.environment),
      services: embeddedServices({
        home,
        engine,
        imagesFolder: imagesFolder(session.environment, home),
        gatewayEnvironment,
      }),
      signal: stopping.signal,
      // In the background, the lines go only to the log.
      ...(session.terminal.interactive ? { onLine: (line: string) => session.terminal.out(line) } : {}),
    });
  } catch (error) {
    if (!(error instanceof StackRuns)) throw error;
    session.terminal.err(error.message);
    // With this exit code, the `coppice up` that started this process waits for the other stack.
    process.exit(stackRunsExitCode);
  }
  return exitCodes.done;
}

/** `coppice down`. */
export async function downCommand(session: Session): CommandResult {
  const { terminal, environment } = session;
  refuseElsewhere(environment, 'to stop the one of this machine');
  const home = homeFrom(environment);
  const options = { home, imagesFolder: imagesFolder(environment, home) };
  if (runningStack(home) !== null)
    terminal.err(
      terminal.colours.dim(
        `stopping: work in progress, such as a model call, has up to ${drainMsMax / 1_000} s to end`,
      ),
    );
  const { stopped, left } = await stopStack(home, (engine) => endLeftCommands(engine, options));
  if (stopped) terminal.out(`the stack in ${home.root} has stopped; its runs go on at the next start`);
  const parts = [
    ...(left.server ? ['its nats-server'] : []),
    ...(left.sandboxes > 0 ? [`the commands in ${left.sandboxes} of its sandboxes`] : []),
  ];
  if (parts.length > 0) terminal.out(`a stack in ${home.root} was killed; ended ${parts.join(' and ')}`);
  if (!stopped && parts.length === 0) terminal.out(`nothing runs in ${home.root}`);
  return exitCodes.done;
}
