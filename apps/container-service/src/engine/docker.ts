/**
 * The Docker launcher. Commands run in containers, through the API of Docker or Podman, version 1.41 or newer. The only
 * importer of dockerode.
 *
 * 1. A container runs one command and is removed after it, together with all processes that the command left.
 * 2. A container's name is a hash of stack, sandbox and command id. So a command and its repetition have the same
 *    container name and can't run at the same time.
 * 3. The launcher attaches to the output before the start, so that no output is lost. The exit code comes from the
 *    daemon, not from the stream.
 * 4. The project's seccomp profile applies if the daemon can filter system calls. Otherwise the probe reports that no
 *    filter is enforced.
 * 5. A container gets only the options in `hostConfig` below. Volumes of the image never become host folders, which
 *    would have no size limit (docker-volumes.ts).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Docker from 'dockerode';
import { CoppiceError, shortHash } from '@coppice/contracts';
import { isAtLeast, retry, sandboxUser } from '@coppice/service';
import { ensureDockerImage } from './docker-image.ts';
import { seccompOptions, type DaemonInfo } from './docker-seccomp.ts';
import { OutputDemultiplexer } from './docker-stream.ts';
import { scratchVolumes, volumesOf } from './docker-volumes.ts';
import { findPathTranslation, type PathTranslation } from './docker-paths.ts';
import type { CommandEnd, Launcher, LaunchRequest, OutputSink, RunningCommand, SandboxRecord } from './launcher.ts';
import { killWaitMsMax } from './limits.ts';
import { NoAnswer } from './no-answer.ts';
import type { ImageReport, Mount } from './port.ts';
import { reasonOf } from './reason.ts';
import { homeTarget, workspaceTarget } from './specification.ts';
import { userFileMounts } from './user-files.ts';

const labels = {
  stack: 'coppice.stack',
  tenant: 'coppice.tenant',
  run: 'coppice.run',
  task: 'coppice.task',
  sandbox: 'coppice.sandbox',
  exec: 'coppice.exec',
} as const;
const cpuPeriodUs = 100_000;
const apiVersionMin = '1.41';
/** Time limit in milliseconds for the daemon's first answer. On a busy machine, a daemon took 9 s. */
const connectMsMax = 20_000;
const removeTries = 5;

export interface DockerOptions {
  stateFolder: string;
  /** Folder of locally built root file systems. Default: `images` in the state folder. */
  imagesFolder?: string;
  stackId: string;
  /** Default: DOCKER_HOST, else ~/.docker/run/docker.sock if it exists, else /var/run/docker.sock. */
  socketPath?: string;
  sandboxUid?: number;
  /** Default: found by inspecting the container that this process runs in, if any. */
  pathTranslation?: PathTranslation;
}

export function dockerLauncher(options: DockerOptions): Launcher {
  return new DockerLauncher(options);
}

class DockerLauncher implements Launcher {
  readonly name = 'docker';
  readonly #docker: Docker;
  readonly #options: DockerOptions;
  readonly #imagesFolder: string;
  readonly #user: { uid: number; gid: number };
  #translation: PathTranslation = (path) => path;
  #securityOptions: readonly string[] | undefined;
  /** Cache of image ids and volumes by image name. It saves a request per command. */
  readonly #images = new Map<string, { id: string; volumes: readonly string[] }>();

  constructor(options: DockerOptions) {
    this.#options = options;
    this.#imagesFolder = options.imagesFolder ?? join(options.stateFolder, 'images');
    this.#docker = new Docker(options.socketPath === undefined ? {} : { socketPath: options.socketPath });
    this.#user = sandboxUser(options.sandboxUid);
  }

  defaultUser(): { uid: number; gid: number } {
    return this.#user;
  }

  async connect(): Promise<string> {
    const version = await withDeadline(this.#docker.version(), connectMsMax).catch((error: unknown) => {
      if (error instanceof NoAnswer) throw error;
      const message = `no Docker daemon answers (${reasonOf(error)}): start one, or name its socket in DOCKER_HOST`;
      throw new CoppiceError('engine-unavailable', message, { cause: error });
    });
    if (!isAtLeast(version.ApiVersion, `${apiVersionMin}.0`)) {
      const message = `the Docker daemon serves API ${version.ApiVersion}, at least ${apiVersionMin} is needed`;
      throw new CoppiceError('engine-unavailable', message);
    }
    const inspect = (id: string) => this.#docker.getContainer(id).inspect();
    this.#translation = this.#options.pathTranslation ?? (await findPathTranslation(inspect));
    const daemon = { version, info: (await this.#docker.info()) as DaemonInfo };
    const seccomp = await seccompOptions(daemon, this.#options.stateFolder, this.#translation);
    this.#securityOptions = ['no-new-privileges', ...seccomp];
    return `Docker ${version.Version}, API ${version.ApiVersion}`;
  }

  async ensureImage(image: string, onProgress: (line: string) => void): Promise<ImageReport> {
    const found = await ensureDockerImage(this.#docker, image, this.#imagesFolder, onProgress);
    const { Config } = await this.#docker.getImage(found.id).inspect();
    this.#images.set(image, { id: found.id, volumes: volumesOf(Config.Volumes) });
    return { image, origin: found.origin };
  }

  async launch(request: LaunchRequest, sink: OutputSink): Promise<RunningCommand> {
    const { record, execId, argv, env, stdin } = request;
    if (this.#securityOptions === undefined) await this.connect();
    if (!this.#images.has(record.image)) await this.ensureImage(record.image, () => undefined);
    const image = this.#images.get(record.image);
    const mounts = [...(await userFileMounts(this.#options.stateFolder, record.user)), ...record.mounts];
    const settings: Docker.ContainerCreateOptions = {
      name: this.#nameOf(record.id, execId),
      Image: image?.id ?? record.image,
      // Clears the image's entry point, so that only the requested command runs.
      Entrypoint: [],
      Cmd: [...argv],
      WorkingDir: record.mounts.some((mount) => mount.target === workspaceTarget) ? workspaceTarget : homeTarget,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      User: `${record.user.uid}:${record.user.gid}`,
      Hostname: 'coppice',
      AttachStdin: stdin !== undefined,
      AttachStdout: true,
      AttachStderr: true,
      OpenStdin: stdin !== undefined,
      StdinOnce: stdin !== undefined,
      Tty: false,
      NetworkDisabled: record.network === 'none',
      Labels: this.#labelsOf(record, execId),
      HostConfig: hostConfig(record, mounts, {
        translation: this.#translation,
        volumes: image?.volumes ?? [],
        securityOptions: this.#securityOptions ?? [],
      }),
    };
    const container = await this.#create(settings, record);
    let stream: NodeJS.ReadWriteStream | undefined;
    try {
      const stdinWanted = stdin !== undefined;
      stream = await container
        .attach({ stream: true, stdin: stdinWanted, stdout: true, stderr: true, hijack: true })
        .catch(startRefused);
      // Attaches all listeners before the start, since the command may end before the daemon answers the start request.
      const drained = passOn(stream, sink);
      await request.beforeStart?.();
      await container.start().catch(startRefused);
      if (stdinWanted) stream.end(stdin);
      return new ContainerCommand(container, stream, drained);
    } catch (error) {
      stream?.end();
      await removeContainer(container);
      throw error;
    }
  }

  async #create(settings: Docker.ContainerCreateOptions, record: SandboxRecord): Promise<Docker.Container> {
    try {
      return await this.#docker.createContainer(settings);
    } catch (error) {
      if (statusOf(error) === 404) {
        // The image was removed after it was found.
        this.#images.delete(record.image);
        throw new CoppiceError('image-not-found', `image ${record.image}: ${reasonOf(error)}`, { retryable: true });
      }
      throw refusedByDaemon('create', error);
    }
  }

  #nameOf(sandboxId: string, execId: string): string {
    return `coppice-${shortHash(this.#options.stackId, sandboxId, execId)}`;
  }

  #labelsOf(record: SandboxRecord, execId: string): Record<string, string> {
    return {
      [labels.stack]: this.#options.stackId,
      [labels.tenant]: record.labels.tenant,
      [labels.run]: record.labels.runId,
      [labels.task]: record.labels.taskId,
      [labels.sandbox]: record.id,
      [labels.exec]: execId,
    };
  }

  async #containers(wanted: readonly string[]): Promise<Docker.ContainerInfo[]> {
    const label = [`${labels.stack}=${this.#options.stackId}`, ...wanted];
    return await this.#docker.listContainers({ all: true, filters: { label } });
  }

  async endAll(sandboxId: string, execId?: string): Promise<void> {
    const wanted = [`${labels.sandbox}=${sandboxId}`, ...(execId === undefined ? [] : [`${labels.exec}=${execId}`])];
    try {
      for (const { Id } of await this.#containers(wanted)) await removeContainer(this.#docker.getContainer(Id));
    } catch (error) {
      throw refusedByDaemon('remove', error);
    }
  }

  async running(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    const containers = await this.#containers([]).catch((error: unknown) => {
      throw refusedByDaemon('list', error);
    });
    for (const { Labels: found } of containers) {
      const id = found[labels.sandbox];
      if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  }

  async close(): Promise<void> {}
}

interface Surroundings {
  translation: PathTranslation;
  /** Volumes that the image declares. */
  volumes: readonly string[];
  securityOptions: readonly string[];
}

function hostConfig(
  record: SandboxRecord,
  mounts: readonly Mount[],
  { translation, volumes, securityOptions }: Surroundings,
): Docker.HostConfig {
  const { memoryBytes, cpus, pids, diskBytes, scratchBytes } = record.limits;
  const scratch = ['/tmp', ...scratchVolumes(volumes, record.image, mounts)];
  return {
    Mounts: mounts.map(({ source, target, readOnly }) => ({
      Type: 'bind' as const,
      Source: translation(source),
      Target: target,
      ReadOnly: readOnly,
      // Propagation is not set, since the daemon rejects private propagation if the source is in the daemon's own
      // folder, such as a volume of docker-compose. For such a source, the default is slave propagation, otherwise
      // private propagation.
    })),
    Tmpfs: Object.fromEntries(scratch.map((path) => [path, `rw,nosuid,nodev,exec,mode=1777,size=${scratchBytes}`])),
    ShmSize: scratchBytes,
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: [...securityOptions],
    Privileged: false,
    NetworkMode: record.network === 'none' ? 'none' : 'bridge',
    IpcMode: 'private',
    Memory: memoryBytes,
    MemorySwap: memoryBytes,
    CpuPeriod: cpuPeriodUs,
    CpuQuota: Math.round(cpus * cpuPeriodUs),
    PidsLimit: pids,
    OomScoreAdj: 500,
    Ulimits: [
      { Name: 'core', Soft: 0, Hard: 0 },
      { Name: 'fsize', Soft: diskBytes, Hard: diskBytes },
    ],
    Init: true,
    LogConfig: { Type: 'none', Config: {} },
    RestartPolicy: { Name: 'no' },
    AutoRemove: false,
  };
}

class ContainerCommand implements RunningCommand {
  readonly ended: Promise<CommandEnd>;
  readonly #container: Docker.Container;
  readonly #stream: NodeJS.ReadWriteStream;
  #isRequested = false;
  #firstProcess: number | undefined;

  constructor(container: Docker.Container, stream: NodeJS.ReadWriteStream, drained: Promise<void>) {
    this.#container = container;
    this.#stream = stream;
    this.ended = this.#waitForEnd(drained);
    this.ended.catch(() => undefined);
  }

  async #waitForEnd(drained: Promise<void>): Promise<CommandEnd> {
    try {
      // Sent only after the start, since `not-running` also matches a container that hasn't started.
      const { StatusCode: exitCode } = (await this.#container.wait({ condition: 'not-running' })) as {
        StatusCode: number;
      };
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, killWaitMsMax).unref())]);
      const { State } = await this.#container.inspect();
      return { exitCode, oomKilled: State.OOMKilled };
    } catch (error) {
      const what = statusOf(error) === 404 ? 'the container was removed' : 'the Docker daemon was lost';
      const message = `${what} while a command ran: ${reasonOf(error)}`;
      throw new CoppiceError('sandbox-failed', message, { cause: error });
    } finally {
      await removeContainer(this.#container).catch(() => undefined);
    }
  }

  kill(): void {
    // The daemon rejects this if the container has already ended.
    this.#container.kill({ signal: 'SIGKILL' }).catch(() => undefined);
  }

  /**
   * The first call requests the pid from the daemon. Returns undefined until the daemon has answered. A short command
   * causes no request, since this function isn't called for it.
   */
  firstProcess(): number | undefined {
    if (!this.#isRequested) void this.#request();
    return isOfContainer(this.#firstProcess, this.#container.id) ? this.#firstProcess : undefined;
  }

  async #request(): Promise<void> {
    this.#isRequested = true;
    try {
      this.#firstProcess = (await this.#container.inspect()).State.Pid;
    } catch {
      // The next call retries.
      this.#isRequested = false;
    }
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }
}

/**
 * Reports whether a pid belongs to a container. The daemon may use another host or PID namespace, and pids are reused.
 */
function isOfContainer(pid: number | undefined, containerId: string): boolean {
  if (pid === undefined || pid <= 0) return false;
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(containerId);
  } catch {
    return false;
  }
}

/** Passes the output to the sink. Resolves when all output has arrived or the connection is lost. */
function passOn(stream: NodeJS.ReadWriteStream, sink: OutputSink): Promise<void> {
  const output = new OutputDemultiplexer(sink);
  stream.on('data', (chunk: Buffer) => output.push(chunk));
  return new Promise((resolve) =>
    stream
      .once('end', resolve)
      .once('close', resolve)
      .once('error', () => resolve()),
  );
}

/**
 * Removes a container. Succeeds if the container doesn't exist. Retries after other errors, such as 409 while another
 * removal is in progress.
 */
async function removeContainer(container: Docker.Container): Promise<void> {
  const remove = () => container.remove({ force: true, v: true });
  const isThere = (error: unknown) => statusOf(error) !== 404;
  const options = { mayPass: isThere, triesMax: removeTries, pauseMs: 100, pauseMsMax: 400 };
  await retry(remove, options).catch((error: unknown) => {
    if (isThere(error)) throw error;
  });
}

function statusOf(error: unknown): number | undefined {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' ? status : undefined;
}

function refusedByDaemon(step: string, error: unknown): CoppiceError {
  if (error instanceof CoppiceError) return error;
  // 400 means that the request is invalid, so a retry would fail too.
  const retryable = statusOf(error) !== 400;
  return new CoppiceError('sandbox-failed', `Docker refused to ${step} a container: ${reasonOf(error)}`, {
    cause: error,
    retryable,
  });
}

const startRefused = (error: unknown): never => {
  throw refusedByDaemon('start', error);
};

async function withDeadline<Value>(promise: Promise<Value>, deadlineMs: number): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new NoAnswer('engine-unavailable', `no answer of the Docker daemon within ${deadlineMs / 1000} s`)),
      deadlineMs,
    );
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
