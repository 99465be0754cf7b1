/**
 * The system under chaos: a nats-server that syncs every write, and two processes of each service on one node. Each
 * process connects through its own proxy, and is restarted when it ends.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@coppice/bus';
import { startNatsServer, startProcess, startTcpProxy, temporaryFolder } from '@coppice/testing';
import type { NatsServer, StartedProcess, TcpProxy, TemporaryFolder } from '@coppice/testing';
import { makeBusUsers } from '../support/bus-users.ts';
import type { BusUsers } from '../support/bus-users.ts';
import { serviceNames } from '@coppice/contracts';
import type { ServiceName } from '@coppice/contracts';
import { processesWith } from './processes.ts';
import { mountSmallDisk } from './small-disk.ts';
import type { SmallDisk } from './small-disk.ts';

export type Engine = 'docker' | 'bubblewrap';

const copies = [1, 2] as const;
const node = 'node-1';
const diskMebibytes = 1_024;
/** So short that many processes count as lost in a run of a few minutes. */
export const lostAfterMs = 4_000;
const restartWaitMs = 300;
const killLooksMax = 20;
const startedMsMax = 120_000;
const repositoryRoot = path.resolve(import.meta.dirname, '../..');

/** One of a service's two processes. The object survives restarts of the process. */
export class ServiceProcess {
  readonly service: ServiceName;
  readonly name: string;
  readonly proxy: TcpProxy;
  readonly #start: () => StartedProcess;
  /** Text in the environment of the process and of all programs that it starts. */
  readonly #mark: string;
  readonly #logLine: (line: string) => void;
  #process: StartedProcess | null = null;
  #running: Promise<void> = Promise.resolve();
  readonly unexpectedExits: string[] = [];
  #expected = false;
  #stopping = false;
  #holdUntil: Promise<unknown> = Promise.resolve();

  constructor(about: {
    service: ServiceName;
    name: string;
    proxy: TcpProxy;
    mark: string;
    start: () => StartedProcess;
    log: (line: string) => void;
  }) {
    this.service = about.service;
    this.name = about.name;
    this.proxy = about.proxy;
    this.#start = about.start;
    this.#mark = about.mark;
    this.#logLine = about.log;
  }

  run(): void {
    this.#running = this.#supervise();
  }

  async #supervise(): Promise<void> {
    while (!this.#stopping) {
      await this.#holdUntil;
      const started = this.#start();
      this.#process = started;
      const { code, signal } = await started.exited;
      for (const line of started.lines) this.#logLine(`${this.name}: ${line.text}`);
      if (this.#stopping) return;
      if (!this.#expected) {
        const last = started.lines
          .slice(-3)
          .map(({ text }) => text)
          .join(' | ');
        this.unexpectedExits.push(`${this.name} ended by itself (${signal ?? code}): ${last}`);
      }
      this.#expected = false;
      await sleep(restartWaitMs);
    }
  }

  /**
   * Sends SIGKILL. The process restarts after `downMs`.
   * @param options.children true to kill its child processes too
   */
  async kill(downMs: number, options: { children: boolean }): Promise<void> {
    this.#expected = true;
    this.#holdUntil = sleep(downMs);
    const started = this.#process;
    if (started === null) return;
    if (options.children) {
      // SIGSTOP first, so that the process starts no more children. The next iteration finds processes that the
      // children have just started.
      started.signal('SIGSTOP');
      for (let look = 0; look < killLooksMax; look++) {
        const children = processesWith(this.#mark).filter(({ pid }) => pid !== started.pid);
        for (const { pid } of children) killIfThere(pid);
        if (children.length === 0) break;
      }
    }
    await started.kill('SIGKILL');
  }

  freeze(): void {
    this.#process?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#process?.signal('SIGCONT');
  }

  async started(): Promise<void> {
    await this.#process?.waitForLine('"msg":"started"', { timeoutMs: startedMsMax });
  }

  /** Sends SIGTERM. The process isn't restarted. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.thaw();
    await this.#process?.kill('SIGTERM');
    await this.#running;
  }

  /** Sends SIGTERM, and waits until the process has restarted, as in an upgrade. */
  async restart(): Promise<void> {
    this.#expected = true;
    await this.#process?.kill('SIGTERM');
    await sleep(restartWaitMs * 2);
    await this.started();
  }
}

export class ChaosSystem {
  readonly nats: NatsServer;
  /** The chaos program's own connection, without a proxy. */
  readonly bus: Bus;
  readonly processes: readonly ServiceProcess[];
  /** Null if this user may not mount file systems. */
  readonly disk: SmallDisk | null;
  readonly dataFolder: string;
  readonly engine: Engine;
  readonly folder: string;
  readonly countFile: string;
  /** Text in the environment of every process of this run. */
  readonly mark: string;
  readonly model = 'scripted/plan.yaml';
  readonly #temporary: TemporaryFolder;

  private constructor(
    parts: Pick<ChaosSystem, 'nats' | 'bus' | 'processes' | 'disk' | 'dataFolder' | 'countFile' | 'mark' | 'engine'> & {
      temporary: TemporaryFolder;
    },
  ) {
    this.nats = parts.nats;
    this.bus = parts.bus;
    this.processes = parts.processes;
    this.disk = parts.disk;
    this.dataFolder = parts.dataFolder;
    this.engine = parts.engine;
    this.folder = parts.temporary.path;
    this.countFile = parts.countFile;
    this.mark = parts.mark;
    this.#temporary = parts.temporary;
  }

  static async start(options: { engine: Engine; script: string; log: (line: string) => void }): Promise<ChaosSystem> {
    const temporary = await temporaryFolder('chaos');
    const folder = temporary.path;
    await chmod(folder, 0o711);
    const users = await makeBusUsers({ folder: path.join(folder, 'users'), nodes: [node], tenants: [] });
    const nats = await startNatsServer({
      config: (credentials) => users.configuration(credentials),
      syncAlways: true,
    });
    const bus = await Bus.connect({ ...nats.connection, name: 'chaos', lostAfterMs });
    await bus.ensureResources();
    const dataFolder = path.join(folder, 'data');
    await mkdir(dataFolder);
    const disk = await mountSmallDisk(dataFolder, diskMebibytes);
    const countFile = path.join(folder, 'model-calls.jsonl');
    await writeFile(countFile, '');
    await writeFile(path.join(folder, 'plan.yaml'), options.script);
    const mark = path.basename(folder);
    const { engine } = options;
    const environment = environmentOf({ folder, dataFolder, countFile, engine });
    const port = Number(new URL(nats.url).port);
    const processes = await Promise.all(
      serviceNames.flatMap((service) =>
        copies.map(async (copy) => {
          const proxy = await startTcpProxy(port);
          const name = `${service}-${copy}`;
          const processMark = path.join(folder, name, 'mark');
          // The mark is a path in PATH that doesn't exist. PATH is the only variable that the services pass to every
          // program, also in sandboxes.
          const PATH = `${process.env['PATH'] ?? ''}:${processMark}`;
          const start = () => startService(service, { proxy, users, environment: { ...environment, PATH } });
          return new ServiceProcess({ service, name, proxy, mark: processMark, start, log: options.log });
        }),
      ),
    );
    for (const each of processes) each.run();
    const system = new ChaosSystem({ nats, bus, processes, disk, dataFolder, countFile, mark, engine, temporary });
    try {
      await Promise.all(processes.map((each) => each.started()));
    } catch (error) {
      await system.stopServices();
      await system.remove();
      throw error;
    }
    return system;
  }

  get unexpectedExits(): string[] {
    return this.processes.flatMap(({ unexpectedExits }) => unexpectedExits);
  }

  /** Processes and mounts that remain afterwards are leftovers. */
  async stopServices(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.stop()));
  }

  async remove(): Promise<void> {
    await this.bus.close();
    await this.nats.stop();
    for (const { proxy } of this.processes) await proxy[Symbol.asyncDispose]();
    await this.disk?.unmount();
    await this.#temporary.remove();
  }
}

function environmentOf(about: {
  folder: string;
  dataFolder: string;
  countFile: string;
  engine: Engine;
}): Record<string, string> {
  return {
    COPPICE_ENGINE: about.engine,
    COPPICE_IMAGES: path.join(repositoryRoot, '.cache/images'),
    COPPICE_SCRIPTS: about.folder,
    COPPICE_SCRIPTED_COUNT_FILE: about.countFile,
    COPPICE_LOST_AFTER_MS: String(lostAfterMs),
    COPPICE_NODE: node,
    COPPICE_DATA: about.dataFolder,
    COPPICE_LOG_LEVEL: 'info',
  };
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has already ended.
  }
}

const startService = (
  service: ServiceName,
  { proxy, users, environment }: { proxy: TcpProxy; users: BusUsers; environment: Record<string, string> },
): StartedProcess =>
  startProcess(path.join(repositoryRoot, 'apps', service, 'src/main.ts'), [], {
    ...environment,
    NATS_URL: `nats://127.0.0.1:${proxy.port}`,
    NATS_CREDENTIALS_FILE: users.file(service),
  });
