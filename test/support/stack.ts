import { randomUUID } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Bus } from '@coppice/bus';
import {
  api,
  coppiceEventSchema,
  nodeServiceNames,
  runItself,
  serviceNames,
  streams,
  subjects,
} from '@coppice/contracts';
import type { CoppiceEvent, RunRequest, RunView, ServiceName, TaskView } from '@coppice/contracts';
import { eventually, startNatsServer, startProcess, temporaryFolder } from '@coppice/testing';
import type { NatsServer, StartedProcess } from '@coppice/testing';
import { startNatsCluster } from './nats-cluster.ts';
import { makeBusUsers } from './bus-users.ts';
import type { BusUsers } from './bus-users.ts';

export type StackSettings = {
  engine: 'docker' | 'bubblewrap' | 'none';
  script: string;
  environment?: Record<string, string>;
  tenants?: string[];
  /** Folder for the server's store. Default: a temporary folder. Ignored if there are several servers. */
  storeDir?: string;
  /** Number of NATS servers. Default: 1. In a cluster, each server has a replica of all data. */
  servers?: number;
  /**
   * Names of the hosts. Default: one host. Each host has its own data folder. The first one also runs the services that
   * aren't bound to a host.
   */
  nodes?: string[];
};

const tenant = 'default';
const startedMsMax = 60_000;
/** The checkout's cache contains the images, so that they are built only once for all tests. */
const repositoryRoot = path.resolve(import.meta.dirname, '../..');

const keyOf = (name: ServiceName, node: string): string => `${name}@${node}`;

/** The whole system with one process per service, which a test may kill and restart. Only the model is a stand-in. */
export class Stack implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly servers: readonly NatsServer[];
  /** The test's own connection, which has all permissions. Each service connects as its own user. */
  readonly bus: Bus;
  readonly users: BusUsers;
  readonly model: string;
  readonly nodes: readonly [string, ...string[]];
  readonly #folder: { path: string; remove(): Promise<void> };
  readonly #environment: Record<string, string>;
  readonly #processes = new Map<string, StartedProcess>();
  readonly #countFile: string;

  private constructor(parts: {
    servers: readonly [NatsServer, ...NatsServer[]];
    bus: Bus;
    users: BusUsers;
    folder: { path: string; remove(): Promise<void> };
    environment: Record<string, string>;
    countFile: string;
    model: string;
    nodes: readonly [string, ...string[]];
  }) {
    [this.nats] = parts.servers;
    this.servers = parts.servers;
    this.bus = parts.bus;
    this.users = parts.users;
    this.model = parts.model;
    this.nodes = parts.nodes;
    this.#folder = parts.folder;
    this.#environment = parts.environment;
    this.#countFile = parts.countFile;
  }

  get dataFolder(): string {
    return this.dataFolderOf(this.nodes[0]);
  }

  dataFolderOf(node: string): string {
    return path.join(this.#folder.path, `data-${node}`);
  }

  get scriptsFolder(): string {
    return this.#folder.path;
  }

  static async start(settings: StackSettings): Promise<Stack> {
    const [first = 'node-1', ...others] = settings.nodes ?? [];
    const nodes: [string, ...string[]] = [first, ...others];
    const folder = await temporaryFolder('stack');
    // The sandboxes' user can enter the subfolders, but can't list them.
    await chmod(folder.path, 0o711);
    const users = await makeBusUsers({
      folder: path.join(folder.path, 'users'),
      nodes,
      tenants: settings.tenants ?? [],
    });
    const { storeDir, servers: replicas = 1 } = settings;
    const alone = { config: users.configuration, ...(storeDir === undefined ? {} : { storeDir }) };
    const servers = await (replicas === 1
      ? startNatsServer(alone).then((server): [NatsServer] => [server])
      : startNatsCluster(replicas, users.configuration));
    const url = servers.map((server) => server.url).join(',');
    const bus = await Bus.connect({ ...servers[0].connection, servers: url, name: 'system-test' });
    await bus.ensureResources({ replicas });
    const script = path.join(folder.path, 'plan.yaml');
    const countFile = path.join(folder.path, 'model-calls.jsonl');
    await writeFile(script, settings.script);
    await writeFile(countFile, '');
    const environment = {
      NATS_URL: url,
      COPPICE_REPLICAS: String(replicas),
      COPPICE_ENGINE: settings.engine,
      COPPICE_IMAGES: path.join(repositoryRoot, '.cache/images'),
      COPPICE_SCRIPTS: folder.path,
      COPPICE_SCRIPTED_COUNT_FILE: countFile,
      COPPICE_LOG_LEVEL: 'warn',
      COPPICE_LOST_AFTER_MS: '3000',
      ...settings.environment,
    };
    const stack = new Stack({
      servers,
      bus,
      users,
      folder,
      environment,
      countFile,
      model: 'scripted/plan.yaml',
      nodes,
    });
    await Promise.all([
      ...serviceNames.map((name) => stack.startService(name)),
      ...others.map((node) => stack.startNode(node)),
    ]);
    return stack;
  }

  /** Starts the services that every host runs. */
  async startNode(node: string): Promise<void> {
    await Promise.all(nodeServiceNames.map((name) => this.startService(name, node)));
  }

  /** Sends SIGKILL to the services that `startNode` starts. */
  async killNode(node: string): Promise<void> {
    await Promise.all(nodeServiceNames.map((name) => this.kill(name, node)));
  }

  /** If the service already runs, the caller must end the old process, as `replace` does. */
  async startService(name: ServiceName, node = this.nodes[0]): Promise<StartedProcess> {
    const script = path.join(repositoryRoot, 'apps', name, 'src/main.ts');
    const started = startProcess(script, [], {
      ...this.#environment,
      NATS_CREDENTIALS_FILE: this.users.file(name),
      COPPICE_NODE: node,
      COPPICE_DATA: this.dataFolderOf(node),
      COPPICE_HEALTH_PORT: '0',
      COPPICE_LOG_LEVEL: 'info',
    });
    this.#processes.set(keyOf(name, node), started);
    await started.waitForLine('"msg":"started"', { timeoutMs: startedMsMax });
    return started;
  }

  processId(name: ServiceName): number {
    return this.#running(name).pid;
  }

  #running(name: ServiceName, node = this.nodes[0]): StartedProcess {
    const started = this.#processes.get(keyOf(name, node));
    if (started === undefined) throw new Error(`${name} is not running on ${node}`);
    return started;
  }

  /** Returns the URL of a service's health probes and metrics. */
  async healthUrl(name: ServiceName): Promise<string> {
    const line = await this.#running(name).waitForLine('"msg":"health endpoint"');
    return `http://127.0.0.1:${(JSON.parse(line) as { port: number }).port}`;
  }

  /** Sends SIGKILL. */
  async kill(name: ServiceName, node = this.nodes[0]): Promise<void> {
    await this.#end(name, node, 'SIGKILL');
  }

  /** Sends SIGTERM and waits until the process has ended. */
  async stopService(name: ServiceName, node = this.nodes[0]): Promise<void> {
    await this.#end(name, node, 'SIGTERM');
  }

  async #end(name: ServiceName, node: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#processes.get(keyOf(name, node))?.kill(signal);
    this.#processes.delete(keyOf(name, node));
  }

  /** Replaces a running service by a new process, as an upgrade does. @returns how the old process ended */
  async replace(name: ServiceName, order: 'stop-first' | 'start-first') {
    const old = this.#running(name);
    if (order === 'stop-first') await old.kill('SIGTERM');
    await this.startService(name);
    if (order === 'start-first') await old.kill('SIGTERM');
    return old.exited;
  }

  async killAndRestart(name: ServiceName): Promise<void> {
    await this.kill(name);
    await this.startService(name);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((started) => started.kill('SIGTERM')));
    await this.bus.close();
    await Promise.all(this.servers.map((server) => server.stop()));
    await this.#folder.remove();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Returns a service's output, for the message of a failing test. */
  logs(name: ServiceName): string {
    return (this.#processes.get(keyOf(name, this.nodes[0]))?.lines ?? []).map((line) => line.text).join('\n');
  }

  async submit(
    request: Omit<RunRequest, 'requestId' | 'defaults' | 'concurrency' | 'tasks'> & Record<string, unknown>,
  ) {
    return this.bus.call(api.runSubmit, { tenant }, { requestId: randomUUID(), ...request } as never);
  }

  /** @throws CoppiceError if the command is rejected */
  command(
    method: 'taskCancel' | 'taskApprove' | 'taskReject' | 'taskMerge' | 'taskDiscard',
    input: { taskId: string; reason?: string; keepBranch?: boolean },
  ): Promise<TaskView> {
    return this.bus.call(api[method], { tenant }, input);
  }

  async cancelRun(runId: string): Promise<void> {
    await this.bus.call(api.runCancel, { tenant }, { runId });
  }

  run(runId: string): Promise<RunView> {
    return this.bus.call(api.runGet, { tenant }, { runId });
  }

  task(taskId: string): Promise<TaskView> {
    return this.bus.call(api.taskGet, { tenant }, { taskId });
  }

  async tasks(runId: string): Promise<Map<string, TaskView>> {
    const { tasks } = await this.bus.call(api.taskList, { tenant }, { runId, limit: 500 });
    return new Map(tasks.map((task) => [task.name, task]));
  }

  /** Waits for the event that a task has entered a state. An event from before this call also counts. */
  async reached(runId: string, taskId: string, state: string, timeoutMs = 60_000): Promise<void> {
    const abort = AbortSignal.timeout(timeoutMs);
    const subject = subjects.event(tenant, runId, taskId, 'task-state');
    const seen: string[] = [];
    for await (const message of this.bus.read(streams.events, subject, { live: true, signal: abort })) {
      const event = coppiceEventSchema.parse(message.json());
      if (event.type !== 'coppice.task-state') continue;
      seen.push(event.data.to);
      if (event.data.to === state) return;
    }
    throw new Error(`${taskId} did not reach ${state} in ${timeoutMs} ms; it was ${seen.join(', ')}`);
  }

  /** Returns all events of a run in the order of storage. */
  async events(runId: string): Promise<CoppiceEvent[]> {
    const all: CoppiceEvent[] = [];
    for await (const message of this.bus.read(streams.events, subjects.event(tenant, runId, '*', '*'))) {
      all.push(coppiceEventSchema.parse(message.json()));
    }
    return all;
  }

  /** Uses the API instead of the event, since a test may test the event. */
  async ended(runId: string, timeoutMs = 120_000): Promise<RunView> {
    return eventually(
      async () => {
        const run = await this.run(runId);
        if (run.state === 'running') throw new Error(`run ${runId} is ${JSON.stringify(run.tasks)}`);
        return run;
      },
      { timeoutMs },
    );
  }

  /** Returns the model's log, to which all processes write. */
  async modelCalls(): Promise<{ event: 'requested' | 'answered'; taskId: string; effectId: string }[]> {
    const text = await readFile(this.#countFile, 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { event: 'requested' | 'answered'; taskId: string; effectId: string });
  }

  /** Returns the events of the run itself, without those of its tasks. */
  async runEvents(runId: string): Promise<CoppiceEvent[]> {
    const all: CoppiceEvent[] = [];
    for await (const message of this.bus.read(streams.events, subjects.event(tenant, runId, runItself, '*'))) {
      all.push(coppiceEventSchema.parse(message.json()));
    }
    return all;
  }
}
