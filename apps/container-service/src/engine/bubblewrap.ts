/**
 * The bubblewrap launcher. Each command runs in its own namespaces. Bubblewrap needs neither a daemon nor root.
 *
 * 1. Bubblewrap never runs as real root, since it would map root into the sandbox and leave the kernel's settings
 *    writable. If this process is root, it first mounts the mount sources on a private stage that the sandbox's user
 *    can reach. Then bubblewrap starts as that user.
 * 2. All processes of a command are in one PID namespace. When the namespace's first process ends, the kernel kills the
 *    rest. When this process dies, the kernel kills the command too, except during a short moment of the command's
 *    start. Processes that survive are found by their mark.
 * 3. Limits use control groups if these are writable, else resource limits. The probe reports which limits are
 *    enforced.
 */
import { execFile, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, openSync, closeSync } from 'node:fs';
import { mkdir, readdir, readlink, realpath } from 'node:fs/promises';
import { arch } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CoppiceError } from '@coppice/contracts';
import { replaceFile } from '@coppice/files';
import { isRoot, sandboxUser } from '@coppice/service';
import { bubblewrapArguments, type RootEntry } from './bubblewrap-arguments.ts';
import { firstProcess, resourceLimits, stage, staged } from './bubblewrap-stage.ts';
import { createControlGroup, sweepControlGroups, type ControlGroup } from './cgroup.ts';
import type { CommandEnd, Launcher, LaunchRequest, OutputSink, RunningCommand } from './launcher.ts';
import { killWaitMsMax } from './limits.ts';
import { defaultImage, isDefaultImage, localRootfs } from './local-image.ts';
import { endMarked, marked, markOf, markStandsFirst } from './marked-processes.ts';
import type { ImageReport, Mount } from './port.ts';
import { reasonOf } from './reason.ts';
import { RunningCommands, startTimeOf } from './running-commands.ts';
import { isSeccompArchitecture, seccompFilter } from './seccomp.ts';
import { userFileMounts } from './user-files.ts';

const run = promisify(execFile);
const statusDescriptor = 3;
const seccompDescriptor = 4;
const pollMs = 5;

export interface BubblewrapOptions {
  stateFolder: string;
  /** Folder of root file systems. Default: `images` in the state folder. */
  imagesFolder?: string;
  /** Path of bubblewrap. Default: bwrap from PATH, or from the project's cache folder. */
  program?: string;
  sandboxUid?: number;
}

export function bubblewrapLauncher(options: BubblewrapOptions): Launcher {
  return new BubblewrapLauncher(options);
}

class BubblewrapLauncher implements Launcher {
  readonly name = 'bubblewrap';
  readonly #stateFolder: string;
  readonly #imagesFolder: string;
  readonly #running: RunningCommands;
  readonly #user: { uid: number; gid: number };
  readonly #root = isRoot();
  #program: string | undefined;
  #seccompFile: string | undefined;
  #rootEntries = new Map<string, readonly RootEntry[]>();

  constructor({ stateFolder, imagesFolder, program, sandboxUid }: BubblewrapOptions) {
    this.#stateFolder = stateFolder;
    this.#imagesFolder = imagesFolder ?? join(stateFolder, 'images');
    this.#program = program;
    // The service and bubblewrap may be killed while a namespace is being created. The namespace's first process then
    // waits for its parent forever. `endAll` ends that process.
    this.#running = new RunningCommands(stateFolder, ({ sandboxId, execId }) => this.endAll(sandboxId, execId));
    this.#user = sandboxUser(sandboxUid);
  }

  defaultUser(): { uid: number; gid: number } {
    return this.#user;
  }

  async connect(): Promise<string> {
    const program = this.#program ?? findProgram();
    if (program === undefined) {
      const message =
        'bubblewrap (bwrap) is neither in PATH nor in the project cache; install it with: apt install bubblewrap';
      throw new CoppiceError('engine-unavailable', message);
    }
    // Uses the real path, since the sandbox's user may have no access to the folder of a symbolic link.
    this.#program = await realpath(program);
    const { stdout } = await run(this.#program, ['--version']).catch((error: unknown) => {
      throw new CoppiceError('engine-unavailable', `${program} --version failed: ${reasonOf(error)}`);
    });
    if (this.#root) {
      await mkdir(stage, { recursive: true, mode: 0o755 });
      await sweepControlGroups();
    }
    const architecture = arch();
    if (isSeccompArchitecture(architecture)) {
      await mkdir(this.#stateFolder, { recursive: true });
      this.#seccompFile = join(this.#stateFolder, `seccomp-${architecture}.bpf`);
      // Replaces the file atomically, since another process of this node may be starting a sandbox with it.
      await replaceFile(this.#seccompFile, seccompFilter(architecture));
    }
    return stdout.trim();
  }

  async ensureImage(image: string, onProgress: (line: string) => void): Promise<ImageReport> {
    const folder = await this.#imageFolder(image, onProgress);
    return { image, origin: `unpacked in ${folder}` };
  }

  async #imageFolder(image: string, onProgress: (line: string) => void): Promise<string> {
    if (isDefaultImage(image)) return await localRootfs(this.#imagesFolder, onProgress);
    const folder = join(this.#imagesFolder, image.replaceAll(/[/:@]/g, '_'));
    if (existsSync(folder)) return folder;
    const message = `engine bubblewrap knows no image ${image}: it has ${defaultImage}, and root file systems unpacked at ${folder}`;
    throw new CoppiceError('image-not-found', `${message}; use that, or the docker engine`);
  }

  async #entriesOf(rootfs: string): Promise<readonly RootEntry[]> {
    const known = this.#rootEntries.get(rootfs);
    if (known !== undefined) return known;
    const entries: RootEntry[] = [];
    for (const entry of await readdir(rootfs, { withFileTypes: true })) {
      const link = entry.isSymbolicLink() ? await readlink(join(rootfs, entry.name)) : undefined;
      entries.push({ name: entry.name, link });
    }
    this.#rootEntries.set(rootfs, entries);
    return entries;
  }

  async launch(request: LaunchRequest, sink: OutputSink): Promise<RunningCommand> {
    const { record, execId } = request;
    if (this.#program === undefined) await this.connect();
    const rootfs = await this.#imageFolder(record.image, () => undefined);
    const entries = await this.#entriesOf(rootfs);
    const mounts = [
      ...(await userFileMounts(this.#stateFolder, record.user)),
      ...(record.network === 'full' ? await nameServiceMounts() : []),
      ...record.mounts,
    ];
    // The name is random, since the group of an ended command with the same id may still exist.
    const group = this.#root ? await createControlGroup(randomUUID(), record.limits) : undefined;
    const mark = markOf(this.#stateFolder, record.id, execId);
    const argv = this.#commandLine(request, mark, rootfs, entries, mounts, group);
    const seccomp = this.#seccompFile === undefined ? undefined : openSync(this.#seccompFile, 'r');
    // Records the command before it starts, so that it is found if this process is killed. The record has this
    // process's pid, since the command ends with this process.
    const removeRecord = await this.#running.add(record.id, execId, process.pid);
    let child: ChildProcess;
    try {
      await request.beforeStart?.();
      child = await spawned(argv, {
        stdio: ['pipe', 'pipe', 'pipe', 'pipe', seccomp ?? 'ignore'],
        env: marked(mark, { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin' }),
        cwd: '/',
      });
    } catch (error) {
      await group?.remove();
      await removeRecord();
      throw error;
    } finally {
      if (seccomp !== undefined) closeSync(seccomp);
    }
    // There must be no await between the spawn and this line. Otherwise a short command could end before its listeners
    // are attached, and its output would be lost.
    return new BubblewrapCommand(child, request.stdin, sink, group, removeRecord);
  }

  #commandLine(
    request: LaunchRequest,
    mark: string,
    rootfs: string,
    entries: readonly RootEntry[],
    mounts: readonly Mount[],
    group: ControlGroup | undefined,
  ): string[] {
    const { record } = request;
    const view = {
      rootfs: this.#root ? `${stage}/rootfs` : rootfs,
      entries,
      // The stage script numbers mounts downwards.
      mounts: this.#root
        ? mounts.map((mount, index) => ({ ...mount, source: `${stage}/${mounts.length - index}` }))
        : mounts,
      user: record.user,
      network: record.network,
      scratchBytes: record.limits.scratchBytes,
      env: marked(mark, request.env),
      seccompDescriptor: this.#seccompFile === undefined ? undefined : seccompDescriptor,
      statusDescriptor,
    };
    const words = [...bubblewrapArguments(view), '--', ...firstProcess(group, record.limits), ...request.argv];
    const limits = resourceLimits(group, record.limits);
    const program = this.#program ?? 'bwrap';
    if (!this.#root) return [...limits, program, ...words];
    return [...limits, ...staged({ program, rootfs, mounts, user: record.user, group }), ...words];
  }

  async endAll(sandboxId: string, execId?: string): Promise<void> {
    await endMarked(markOf(this.#stateFolder, sandboxId, execId), markStandsFirst);
  }

  async running(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const { sandboxId } of await this.#running.list()) counts.set(sandboxId, (counts.get(sandboxId) ?? 0) + 1);
    return counts;
  }

  async close(): Promise<void> {}
}

/**
 * Returns mounts of the host's name service files, for sandboxes with the host's network. These files are usually
 * links, so their targets are mounted.
 */
async function nameServiceMounts(): Promise<Mount[]> {
  const mounts: Mount[] = [];
  for (const target of ['/etc/resolv.conf', '/etc/hosts']) {
    const source = await realpath(target).catch(() => undefined);
    if (source !== undefined) mounts.push({ source, target, readOnly: true });
  }
  return mounts;
}

function findProgram(): string | undefined {
  const cached = fileURLToPath(new URL('../../../../.cache/bin/bwrap', import.meta.url));
  const inPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'bwrap'));
  return [...inPath, cached].find((path) => existsSync(path));
}

async function spawned(argv: readonly string[], options: SpawnOptions): Promise<ChildProcess> {
  try {
    const child = spawn(argv[0] ?? '', argv.slice(1), options);
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    return child;
  } catch (error) {
    throw new CoppiceError('sandbox-failed', `bubblewrap can't be started: ${reasonOf(error)}`, { cause: error });
  }
}

class BubblewrapCommand implements RunningCommand {
  readonly ended: Promise<CommandEnd>;
  readonly #child: ChildProcess;
  #innerPid: number | undefined;
  #killed = false;
  #closed = false;

  constructor(
    child: ChildProcess,
    stdin: Uint8Array | undefined,
    sink: OutputSink,
    group: ControlGroup | undefined,
    removeRecord: () => Promise<void>,
  ) {
    this.#child = child;
    child.stdout?.on('data', (chunk: Buffer) => sink('stdout', chunk));
    child.stderr?.on('data', (chunk: Buffer) => sink('stderr', chunk));
    // The pipe fails if a command ends without reading its input. This isn't an error.
    child.stdin?.on('error', () => undefined).end(stdin);
    let status = '';
    child.stdio[statusDescriptor]?.on('data', (chunk: Buffer) => {
      status = (status + chunk.toString('utf8')).slice(-4096);
      const found = /"child-pid": (\d+)/.exec(status)?.[1];
      if (found === undefined || this.#innerPid !== undefined) return;
      this.#innerPid = Number(found);
      if (this.#killed) this.kill();
    });
    // If bubblewrap is killed while it starts, its inner process may survive.
    child.once('exit', (_code, signal) => signal !== null && this.#killInner());
    this.ended = this.#waitForEnd(group, removeRecord);
    this.ended.catch(() => undefined);
  }

  async #waitForEnd(group: ControlGroup | undefined, removeRecord: () => Promise<void>): Promise<CommandEnd> {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      this.#child.once('close', (...result) => resolve(result)),
    );
    this.#closed = true;
    await this.#innerGone();
    const counted = await group?.counts();
    await group?.remove();
    await removeRecord();
    return {
      exitCode: code ?? 128 + signalNumber(signal),
      oomKilled: (counted?.oomKills ?? 0) > 0,
      throttledPeriods: counted?.throttledPeriods ?? 0,
    };
  }

  /**
   * Waits until the namespace's first process has ended. This takes time only if bubblewrap was killed. Otherwise that
   * process ends before bubblewrap.
   */
  async #innerGone(): Promise<void> {
    if (this.#innerPid === undefined) return;
    const deadline = performance.now() + killWaitMsMax;
    while ((await startTimeOf(this.#innerPid)) !== null) {
      if (performance.now() > deadline)
        throw new CoppiceError('sandbox-failed', `process ${this.#innerPid} doesn't end`);
      await sleep(pollMs);
    }
  }

  #killInner(): void {
    if (this.#innerPid === undefined || this.#closed) return;
    try {
      process.kill(this.#innerPid, 'SIGKILL');
    } catch {
      // The process has already ended.
    }
  }

  kill(): void {
    if (this.#closed) return;
    this.#killed = true;
    this.#killInner();
    // Also kills bubblewrap, since it may not have started its inner process yet.
    this.#child.kill('SIGKILL');
  }

  firstProcess(): number | undefined {
    return this.#closed ? undefined : this.#innerPid;
  }

  pause(): void {
    this.#child.stdout?.pause();
    this.#child.stderr?.pause();
  }

  resume(): void {
    this.#child.stdout?.resume();
    this.#child.stderr?.resume();
  }
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === 'SIGTERM' ? 15 : 9;
}
