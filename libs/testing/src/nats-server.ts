/**
 * A real nats-server for tests, as a child process on a free loopback port, with JetStream in a temporary folder.
 *
 * 1. The system chooses the port, so two tests never use the same one. The server writes the port to its ports file.
 * 2. After a restart, the server has the same port and store, so that clients reconnect and find their data.
 * 3. The store is removed at the end, unless the caller passed `storeDir`.
 */
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { endWithThisProcess, exitOf } from './child-processes.ts';
import type { Exit } from './child-processes.ts';
import { eventually } from './eventually.ts';
import { temporaryFolder } from './temporary-folder.ts';

export type NatsServerSettings = {
  /**
   * Additional configuration in the server's format, such as `max_payload: 64KB`. If the configuration defines users,
   * it must be a function, and one of the users must have the credentials that the function gets.
   */
  config?: string | ((credentials: { user: string; password: string }) => string);
  /** Folder of JetStream's store, which isn't removed at the end. Default: a temporary folder, which is removed. */
  storeDir?: string;
  /** If true, clients must use the result's `user` and `password`. Default: false. */
  auth?: boolean;
  /** Default: true. */
  jetStream?: boolean;
  /** If true, JetStream syncs each write to the disk before it is acknowledged. Default: false. */
  syncAlways?: boolean;
  /** Default: the result of `natsServerProgram`. */
  program?: string;
};

export type NatsServer = AsyncDisposable & {
  url: string;
  /** The server's monitoring address, for `/jsz` or `/varz`. */
  monitoringUrl: string;
  /** Id of the current server process. A restart changes the id. */
  readonly pid: number;
  user: string | undefined;
  password: string | undefined;
  /** Options for a NATS client. */
  connection: { servers: string; user?: string; password?: string };
  /** Environment variables for Coppice's services. */
  environment: Record<string, string>;
  /** Also removes the temporary store. */
  stop(): Promise<void>;
  /** Kills the server by SIGKILL. The store stays, so that `restart` finds the data. */
  kill(): Promise<void>;
  /** Keeps port and store. Also starts a killed server. */
  restart(): Promise<void>;
  /** Replaces `config`. The running server reloads its configuration. */
  reload(config: NatsServerSettings['config']): Promise<void>;
};

const startMsMax = 20_000;
const stopMsMax = 5_000;
const outputCharactersMax = 8_000;

/**
 * Returns the path of the server program. This is COPPICE_NATS_SERVER, else the program in the project's cache folder,
 * else the first one in PATH.
 * @throws Error if there is none
 */
export function natsServerProgram(environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment['COPPICE_NATS_SERVER'];
  const cached = path.resolve(import.meta.dirname, '../../../.cache/bin/nats-server');
  const inPath = (environment['PATH'] ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder || '.', 'nats-server'));
  const candidates = named === undefined || named === '' ? [cached, ...inPath] : [named];
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  const looked =
    named === undefined || named === '' ? `${cached} and every folder of PATH` : `COPPICE_NATS_SERVER=${named}`;
  throw new Error(
    `no nats-server found (looked at ${looked}); run "npm test" or "node setup/setup.js", which fetches it`,
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

type Running = {
  pid: number;
  exited: Promise<Exit>;
  signal(name: NodeJS.Signals): void;
  url: string;
  monitoringUrl: string;
};

export async function startNatsServer(settings: NatsServerSettings = {}): Promise<NatsServer> {
  const program = settings.program ?? natsServerProgram();
  const folder = await temporaryFolder('nats');
  const storeDir = settings.storeDir ?? path.join(folder.path, 'store');
  const hasUser = settings.auth === true || typeof settings.config === 'function';
  const user = hasUser ? 'coppice' : undefined;
  const password = hasUser ? randomBytes(18).toString('base64url') : undefined;

  let { config } = settings;
  const file = path.join(folder.path, 'server.conf');
  let ports: [port: number, monitoringPort: number] = [-1, -1];
  const configure = async (): Promise<void> => {
    const [port, monitoringPort] = ports;
    const from = { settings, config, port, monitoringPort, folder: folder.path, storeDir };
    await writeFile(file, configuration({ ...from, user, password }), { mode: 0o600 });
  };
  const start = async (port: number, monitoringPort: number): Promise<Running> => {
    await mkdir(storeDir, { recursive: true });
    ports = [port, monitoringPort];
    await configure();
    return run(program, file, folder.path);
  };

  let running = await start(-1, -1).catch(async (error: unknown) => {
    await folder.remove();
    throw error;
  });
  const { url, monitoringUrl } = running;

  const end = async (signal: NodeJS.Signals) => {
    running.signal(signal);
    const timer = setTimeout(() => running.signal('SIGKILL'), stopMsMax);
    await running.exited;
    clearTimeout(timer);
  };
  const stop = async () => {
    await end('SIGTERM');
    await folder.remove();
  };
  return {
    url,
    monitoringUrl,
    get pid() {
      return running.pid;
    },
    user,
    password,
    connection: { servers: url, ...(user === undefined || password === undefined ? {} : { user, password }) },
    environment: {
      NATS_URL: url,
      ...(user === undefined || password === undefined ? {} : { NATS_USER: user, NATS_PASSWORD: password }),
    },
    stop,
    kill: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGTERM');
      running = await start(portOf(url), portOf(monitoringUrl));
    },
    reload: async (next) => {
      config = next;
      await configure();
      const before = await loadedAt(monitoringUrl);
      running.signal('SIGHUP');
      await eventually(async () => (await loadedAt(monitoringUrl)) !== before, {
        timeoutMs: startMsMax,
        description: 'the new configuration',
      });
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function loadedAt(monitoringUrl: string): Promise<string> {
  const answer = await fetch(new URL('/varz', monitoringUrl));
  return ((await answer.json()) as { config_load_time: string }).config_load_time;
}

const portOf = (address: string): number => Number(new URL(address).port);

function configuration(from: {
  settings: NatsServerSettings;
  config: NatsServerSettings['config'];
  port: number;
  monitoringPort: number;
  folder: string;
  storeDir: string;
  user: string | undefined;
  password: string | undefined;
}): string {
  const lines = [
    'host: 127.0.0.1',
    `port: ${from.port}`,
    `http: "127.0.0.1:${from.monitoringPort}"`,
    `ports_file_dir: ${JSON.stringify(from.folder)}`,
  ];
  if (from.settings.jetStream !== false) lines.push(`jetstream { store_dir: ${JSON.stringify(from.storeDir)} }`);
  const { config } = from;
  if (typeof config === 'function') lines.push(config({ user: from.user ?? '', password: from.password ?? '' }));
  else if (from.user !== undefined)
    lines.push(`authorization { user: ${from.user}, password: ${JSON.stringify(from.password)} }`);
  if (typeof config === 'string') lines.push(config);
  return `${lines.join('\n')}\n`;
}

async function run(program: string, configurationFile: string, portsFolder: string): Promise<Running> {
  const child = spawn(program, ['-c', configurationFile], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = exitOf(child);
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-outputCharactersMax);
  });
  let ended: string | null = null;
  void exited.then(
    ({ code, signal }) => (ended = `it ended (${signal ?? code})`),
    (error: unknown) => (ended = String(error)),
  );
  const { pid } = child;
  if (pid === undefined)
    throw new Error(`${program} could not be started`, { cause: await exited.catch((error: unknown) => error) });
  endWithThisProcess(child);

  const portsFile = path.join(portsFolder, `${path.basename(program)}_${pid}.ports`);
  const ports = await eventually(async () => (ended === null ? readPorts(portsFile) : { failed: ended }), {
    timeoutMs: startMsMax,
    intervalMs: 5,
    description: `the ports file of ${program}`,
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  if ('failed' in ports) throw new Error(`${program} did not start: ${ports.failed}; it printed:\n${output}`);
  await rm(portsFile, { force: true });
  return { ...ports, pid, exited, signal: (name) => void child.kill(name) };
}

/** Reads the ports file. Returns null if the file is missing or incomplete. */
async function readPorts(file: string): Promise<{ url: string; monitoringUrl: string } | null> {
  try {
    const ports = JSON.parse(await readFile(file, 'utf8')) as { nats?: string[]; monitoring?: string[] };
    const [url, monitoringUrl] = [ports.nats?.[0], ports.monitoring?.[0]];
    return url === undefined || monitoringUrl === undefined ? null : { url, monitoringUrl };
  } catch {
    return null;
  }
}
