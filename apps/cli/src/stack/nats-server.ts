/**
 * Runs the embedded stack's nats-server as a child process. The server listens on the loopback interface and rejects
 * clients without credentials.
 *
 * Collaborators: run-stack.ts and stop-stack.ts, which hold the stack's lock whenever they call this module.
 *
 * Invariants:
 * 1. At most one server uses the store. A server that a killed stack left running is ended before a new one starts.
 * 2. The system chooses the port at the first start. Later starts use the same port, so that clients can reconnect. If
 *    that fails, the system chooses another port.
 * 3. A server that ends by itself is restarted. If it ends more than `restartsMax` times within `restartWindowMs`,
 *    `failed` resolves.
 * 4. Only the stack's user can read the configuration, which contains the password, and the store.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@coppice/telemetry';
import type { Connection } from './credentials.ts';
import { readJsonFile, writePrivateFile } from './private-file.ts';
import { commandLineOf, endProcess, identityOf } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

export type EmbeddedServer = {
  servers: string;
  pid: number;
  /** Resolves when the server has ended too often, or a restart has failed. */
  failed: Promise<Error>;
  stop(): Promise<void>;
};

/** Long, since the server first reads its store, which may be large. */
const startMsMax = 3 * 60_000;
const stopMsMax = 10_000;
const pollMs = 10;
const restartsMax = 5;
const restartWindowMs = 60_000;
const restartPauseMs = 200;

/**
 * The server syncs each write to the disk before it acknowledges the write, so a power failure loses nothing. The cost
 * is small, since a task needs a few dozen writes and a disk can sync hundreds a second.
 */
export const syncInterval = 'always';

type Files = { configuration: string; pid: string; process: string; log: string; store: string; folder: string };

const filesIn = (folder: string): Files => ({
  folder,
  configuration: path.join(folder, 'nats.conf'),
  pid: path.join(folder, 'nats.pid'),
  process: path.join(folder, 'process.json'),
  log: path.join(folder, 'nats.log'),
  store: path.join(folder, 'jetstream'),
});

export async function startEmbeddedServer(options: {
  program: string;
  folder: string;
  credentials: { user: string; password: string };
  /** Connection of the last start; null before the first start. */
  previous: Connection | null;
  log: Logger;
}): Promise<EmbeddedServer> {
  const files = filesIn(options.folder);
  const launch = (port: number | null) => launchServer(options.program, files, options.credentials, port);
  const wanted = options.previous === null ? null : Number(new URL(options.previous.servers).port);
  let running = await launch(wanted).catch((error: unknown) => {
    if (wanted === null) throw error;
    options.log.info(
      { port: wanted, err: error },
      'the server did not start on its former port; starting it on another',
    );
    return launch(null);
  });
  const { port } = running;
  const failed = Promise.withResolvers<Error>();
  let stopping = false;
  const ends: number[] = [];

  const watch = (): void => {
    void running.exited.then(async (how) => {
      if (stopping) return;
      options.log.error({ how }, 'nats-server ended by itself');
      const now = performance.now();
      ends.push(now);
      if (ends.filter((end) => now - end < restartWindowMs).length > restartsMax) {
        return failed.resolve(
          new Error(`nats-server ended ${restartsMax + 1} times within a minute; see ${files.log}`),
        );
      }
      await sleep(restartPauseMs);
      if (stopping) return;
      try {
        running = await launch(port);
        if (stopping) return await running.end();
        watch();
      } catch (error) {
        failed.resolve(error instanceof Error ? error : new Error(String(error)));
      }
    });
  };
  watch();
  return {
    servers: `nats://127.0.0.1:${port}`,
    get pid() {
      return running.pid;
    },
    failed: failed.promise,
    stop: async () => {
      stopping = true;
      await running.end();
      rmSync(files.process, { force: true });
    },
  };
}

type Running = { pid: number; port: number; exited: Promise<string>; end(): Promise<void> };

async function launchServer(
  program: string,
  files: Files,
  credentials: { user: string; password: string },
  port: number | null,
): Promise<Running> {
  rmSync(files.pid, { force: true });
  writePrivateFile(files.configuration, configuration(files, credentials, port));
  // The server has its own process group. Otherwise Ctrl-C in a terminal would end it before the services have stopped.
  const child = spawn(program, ['-c', files.configuration], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const exited = exitOf(child);
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2_000)));
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program} can't be started: ${await exited}`);
  const identity = identityOf(pid);
  if (identity !== null) writePrivateFile(files.process, JSON.stringify(identity));
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax);
    await exited;
    clearTimeout(timer);
  };
  const portsFile = path.join(files.folder, `${path.basename(program)}_${pid}.ports`);
  try {
    const found = await waitForPort(portsFile, exited, () => complaint.trim() || tailOf(files.log));
    return { pid, port: found, exited, end };
  } catch (error) {
    await end();
    throw error;
  } finally {
    rmSync(portsFile, { force: true });
  }
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`));
  });
}

/** Waits for the ports file and returns the port. The server writes this file as soon as it listens. */
async function waitForPort(portsFile: string, exited: Promise<string>, said: () => string): Promise<number> {
  const ended: string[] = [];
  void exited.then((how) => ended.push(how));
  const end = performance.now() + startMsMax;
  for (;;) {
    const ports = readJsonFile(portsFile) as { nats?: string[] } | null;
    const address = ports?.nats?.[0];
    if (address !== undefined) return Number(new URL(address).port);
    if (ended.length > 0) throw new Error(`nats-server did not start: ${ended.join()}: ${said()}`);
    if (performance.now() > end) throw new Error(`nats-server did not listen within ${startMsMax} ms: ${said()}`);
    await sleep(pollMs);
  }
}

function tailOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-3).join(' / ');
  } catch {
    return '';
  }
}

function configuration(files: Files, credentials: { user: string; password: string }, port: number | null): string {
  const text = (value: string) => JSON.stringify(value);
  return [
    'server_name: coppice',
    'host: 127.0.0.1',
    `port: ${port ?? -1}`,
    `ports_file_dir: ${text(files.folder)}`,
    `pid_file: ${text(files.pid)}`,
    `log_file: ${text(files.log)}`,
    'logfile_size_limit: 10MB',
    'logfile_max_num: 3',
    `jetstream { store_dir: ${text(files.store)}, sync_interval: ${syncInterval} }`,
    // There is no anonymous user, since a sandbox may share the loopback interface. The default timeout of two seconds
    // is too short for a client on a busy machine.
    `authorization { user: ${text(credentials.user)}, password: ${text(credentials.password)}, timeout: 10 }`,
    '',
  ].join('\n');
}

/** Ends the server that a killed stack left running. Returns the server's process id. */
export async function endLeftServer(folder: string): Promise<number | null> {
  const files = filesIn(folder);
  for (const identity of leftServers(files)) {
    if (await endProcess(identity, stopMsMax)) return identity.pid;
  }
  return null;
}

/**
 * Returns the recorded process and the process in the server's pid file. The pid file is needed if the stack was killed
 * before it recorded the process. Its process counts only if the command line names our configuration, since the
 * process id may have been reused.
 */
function leftServers(files: Files): ProcessIdentity[] {
  const recorded = readJsonFile(files.process) as ProcessIdentity | null;
  const written = identityOf(Number(readText(files.pid) || -1));
  const ours = written !== null && commandLineOf(written.pid)?.includes(files.configuration) === true;
  return [...(recorded === null ? [] : [recorded]), ...(ours && written !== null ? [written] : [])];
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
