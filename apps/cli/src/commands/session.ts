import path from 'node:path';
import type { BusConnection } from '@coppice/service';
import type { StackClient } from '../api-client.ts';
import { waitMsDefault, waitingLines } from '../ask.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import type { Terminal } from '../output/terminal.ts';
import { connectTo, disconnect, embeddedConnection, remoteFrom, tenantFor } from '../stack/connect.ts';
import { describesProviders, modelsIn } from '../stack/gateway-environment.ts';
import { homeFrom } from '../stack/home.ts';
import type { Home } from '../stack/home.ts';
import { requirePassable } from '../stack/passable.ts';
import type { EngineChoice } from '../stack/services.ts';
import { endOf, watchStack } from '../stack/stack-end.ts';
import { ensureStack } from '../stack/start-stack.ts';
import { runningStack } from '../stack/status.ts';
import type { StackStatus } from '../stack/status.ts';

export type Session = {
  terminal: Terminal;
  environment: NodeJS.ProcessEnv;
  /** Value of `--tenant`. */
  tenant?: string | undefined;
  /** Aborted by Ctrl-C. */
  interrupted: AbortSignal;
};

const mainFile = path.resolve(import.meta.dirname, '../main.ts');

/** `waitMsMax`: time limit in milliseconds for the stack's answers. Default: see ask.ts. */
export type ClientOptions = { waitMsMax?: number };

/** Runs `work` with a client of a running stack. @throws CliError if no stack runs */
export async function withClient<Result>(
  session: Session,
  work: (client: StackClient) => Promise<Result>,
  options: ClientOptions = {},
): Promise<Result> {
  const remote = remoteFrom(session.environment);
  if (remote !== null) return withRemote(session, remote, work, options);
  const home = homeFrom(session.environment);
  if (runningStack(home) === null) {
    throw new CliError(exitCodes.stackUnavailable, `no stack runs in ${home.root}: start one with "coppice up"`);
  }
  return withEmbedded(session, home, work, options);
}

export const withRemote = <Result>(
  session: Session,
  connection: BusConnection,
  work: (client: StackClient) => Promise<Result>,
  options: ClientOptions = {},
): Promise<Result> =>
  withConnection(session, connection, { ...options, name: 'the stack that NATS_URL names', home: null }, work);

export const withEmbedded = <Result>(
  session: Session,
  home: Home,
  work: (client: StackClient) => Promise<Result>,
  options: ClientOptions = {},
): Promise<Result> => withConnection(session, embeddedConnection(home), { ...options, name: 'the stack', home }, work);

async function withConnection<Result>(
  session: Session,
  connection: BusConnection,
  { name, home, waitMsMax }: ClientOptions & { name: string; home: Home | null },
  work: (client: StackClient) => Promise<Result>,
): Promise<Result> {
  const onWaiting = waitingLines((line) => session.terminal.err(line));
  const endReason = () => (home === null ? null : endOf(home));
  const bus = await connectTo(connection, name, {
    ...(home === null ? {} : { waitMsMax: waitMsMax ?? waitMsDefault }),
    onWaiting,
    endReason,
  });
  const watch = watchStack(bus, home);
  try {
    const tenant = tenantFor(session.tenant, connection);
    return await work({ bus, tenant, waitMsMax, onWaiting, stackEnded: watch.ended });
  } finally {
    watch.stop();
    await disconnect(bus);
  }
}

/** @throws CliError if the stack can't be started, or runs with another engine than the requested one */
export async function startedStack(
  session: Session,
  engine: EngineChoice,
  onLine: (line: string) => void,
): Promise<{ home: Home; status: StackStatus; started: boolean }> {
  const home = homeFrom(session.environment);
  requirePassable(home, engine);
  // Reports a wrong variable before a stack is started. A running stack has read its own environment.
  if (runningStack(home) === null && describesProviders(session.environment)) await modelsIn(session.environment);
  const { status, started } = await ensureStack({
    home,
    command: [process.execPath, mainFile, 'up', '--foreground', '--engine', engine],
    environment: {
      ...session.environment,
      ...absolute(session.environment, 'COPPICE_GATEWAY_CONFIG'),
      COPPICE_LOG_LEVEL: session.environment['COPPICE_LOG_LEVEL'] ?? 'info',
    },
    onLine,
  });
  if (status.engine !== null && engine !== 'auto' && status.engine !== engine) {
    throw new CliError(
      exitCodes.badInput,
      `the stack that runs has engine ${status.engine}, not ${engine}: end it with "coppice down" first`,
    );
  }
  return { home, status, started };
}

/** Makes a variable's path absolute, since the stack runs in another working directory. */
function absolute(environment: NodeJS.ProcessEnv, variable: string): NodeJS.ProcessEnv {
  const file = environment[variable];
  return file === undefined || file === '' ? {} : { [variable]: path.resolve(file) };
}

export type CommandResult = Promise<ExitCode>;
