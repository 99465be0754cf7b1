/**
 * Runs the embedded stack, with its nats-server as a child process and its services in this process.
 *
 * Collaborators: start-stack.ts, which starts a process for the stack and waits for the stack's status; stop-stack.ts,
 * which ends the process.
 *
 * Invariants:
 * 1. This process holds the lock of the stack's home, so each home has at most one stack. The kernel releases the lock
 *    when the process ends.
 * 2. A server that a killed stack left running is ended before anything is started.
 * 3. The status file describes the process that holds the lock, or a process that has ended.
 * 4. All services stop at the same time. Then the server stops.
 */
import { createRequire } from 'node:module';
import { nodeNameOfHost, startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { createLogger } from '@coppice/telemetry';
import type { Logger } from '@coppice/telemetry';
import { newCredentials, readConnection, writeConnection } from './credentials.ts';
import { makeHome } from './home.ts';
import type { Home } from './home.ts';
import { endLeftServer, startEmbeddedServer, syncInterval } from './nats-server.ts';
import type { EmbeddedServer } from './nats-server.ts';
import { ownIdentity } from './process-identity.ts';
import { takeStackLock } from './stack-lock.ts';
import { removeStatus, writeStatus } from './status.ts';
import type { StackStatus } from './status.ts';
import type { EmbeddedService } from './services.ts';

export type StackOptions = {
  home: Home;
  natsProgram: string;
  services: readonly EmbeddedService[];
  /** Stops the stack. */
  signal: AbortSignal;
  onLine?: (line: string) => void;
};

/**
 * Time limit in milliseconds for each phase of a service's start. Long, since all services start at the same time and
 * the machine may be busy.
 */
const startWaitMs = 5 * 60_000;

/** Thrown if another stack runs in the same home. */
export class StackRuns extends Error {
  override readonly name = 'StackRuns';
}

/** Runs a stack until the signal is aborted. @throws StackRuns; the error of a service or of the server */
export async function runStack(options: StackOptions): Promise<void> {
  const { home, signal } = options;
  makeHome(home);
  const lock = await takeStackLock(home);
  if (lock === undefined) throw new StackRuns(`another stack runs in ${home.root}`);
  const log = createLogger('stack');
  const stack = new Stack(options, log);
  try {
    await stack.start();
    await stack.untilAborted(signal);
  } catch (error) {
    await stack.stop();
    if (signal.aborted) return;
    stack.update({ phase: 'failed', failure: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    lock.release();
  }
}

class Stack {
  readonly #options: StackOptions;
  readonly #log: Logger;
  readonly #started: StartedService[] = [];
  #server: EmbeddedServer | null = null;
  #status: StackStatus;

  constructor(options: StackOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
    this.#status = { process: ownIdentity(), phase: 'starting', lines: [], engine: null, failure: null };
  }

  update(change: Partial<StackStatus>): void {
    this.#status = { ...this.#status, ...change };
    writeStatus(this.#options.home, this.#status);
  }

  #say(line: string, change: Partial<StackStatus> = {}): void {
    this.#log.info(line);
    this.#options.onLine?.(line);
    this.update({ ...change, lines: [...this.#status.lines, line] });
  }

  async start(): Promise<void> {
    const { home, natsProgram, services, signal } = this.#options;
    this.update({});
    const left = await endLeftServer(home.natsFolder);
    if (left !== null) this.#say(`ended the nats-server (process ${left}) that a killed stack had left`);
    signal.throwIfAborted();
    const previous = readConnection(home);
    const credentials = previous ?? newCredentials();
    this.#server = await startEmbeddedServer({
      program: natsProgram,
      folder: home.natsFolder,
      credentials,
      previous,
      log: this.#log,
    });
    const { servers } = this.#server;
    const connection = { servers, user: credentials.user, password: credentials.password };
    writeConnection(home, connection);
    this.#say(`nats-server: ${servers} (JetStream, sync_interval ${syncInterval}; only with the stack's credentials)`);
    signal.throwIfAborted();
    const results = await Promise.allSettled(
      services.map((service) => this.#startService(service, connection, signal)),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    this.#say('ready', { phase: 'ready' });
  }

  async #startService(
    service: EmbeddedService,
    connection: StartOptions['connection'],
    signal: AbortSignal,
  ): Promise<void> {
    let line = 'started';
    let laterLine: Promise<string | null> = Promise.resolve(null);
    const change: Partial<StackStatus> = {};
    const started = await startService({
      name: service.name,
      version,
      node: nodeNameOfHost(),
      connection,
      makesResources: service.makesResources ?? false,
      startWaitMs,
      signal,
      start: async (context) => {
        const work = await service.start(context, (text) => this.#say(`${service.name}: ${text}`));
        laterLine = work.laterLine ?? laterLine;
        if (work.line !== undefined) line = work.line;
        if (work.engine !== undefined) change.engine = work.engine;
        return work;
      },
    });
    this.#started.push(started);
    this.#say(`${service.name}: ${line}`, change);
    void laterLine.then((text) => {
      if (text !== null && this.#status.phase !== 'stopping') this.#say(`${service.name}: ${text}`);
    });
  }

  /**
   * Waits until the signal is aborted, and then stops the stack.
   * @throws Error if the server fails or a service is lost
   */
  async untilAborted(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<null>((resolve) => {
      if (signal.aborted) resolve(null);
      signal.addEventListener('abort', () => resolve(null), { once: true });
    });
    const failures = [this.#server?.failed, ...this.#started.map((service) => service.lost)];
    const failure = await Promise.race([aborted, ...failures]);
    if (failure instanceof Error) throw failure;
    this.update({ phase: 'stopping' });
    await this.stop();
    removeStatus(this.#options.home);
    this.#log.info('stopped');
  }

  /** Never throws, since services and server log their own errors. */
  async stop(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((service) => service.stop()));
    await this.#server?.stop();
    this.#server = null;
  }
}

type StartOptions = Parameters<typeof startService>[0];
const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
