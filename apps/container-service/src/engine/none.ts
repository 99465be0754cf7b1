/**
 * The launcher without isolation. Commands run on the host in their own process groups. This engine is never chosen
 * automatically. It is meant for trusted commands if no other engine works.
 *
 * 1. Nothing is mounted. Paths in the command and its environment are translated into paths of the host. If the sandbox
 *    mounts a git link file over the workspace's `.git`, GIT_DIR is set instead, so that git uses the private git
 *    directory.
 * 2. Every process of a command has a mark in its environment. On Linux the end of a command kills all marked
 *    processes, including those that left the process group. On other systems only the group is killed.
 */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { removeTree } from '@coppice/files';
import { isRoot, sandboxUser } from '@coppice/service';
import type { CommandEnd, Launcher, LaunchRequest, OutputSink, RunningCommand, SandboxRecord } from './launcher.ts';
import { endMarked, marked, markOf, markStandsAnywhere } from './marked-processes.ts';
import type { ImageReport } from './port.ts';
import { reasonOf } from './reason.ts';
import { RunningCommands } from './running-commands.ts';
import { homeTarget, workspaceTarget } from './specification.ts';

const linkFileBytesMax = 4096;

export function noneLauncher(options: { stateFolder: string; sandboxUid?: number }): Launcher {
  return new NoneLauncher(options);
}

class NoneLauncher implements Launcher {
  readonly name = 'none';
  readonly #stateFolder: string;
  readonly #running: RunningCommands;
  readonly #user: { uid: number; gid: number };
  readonly #root = isRoot();

  constructor({ stateFolder, sandboxUid }: { stateFolder: string; sandboxUid?: number }) {
    this.#stateFolder = stateFolder;
    this.#running = new RunningCommands(stateFolder);
    this.#user = sandboxUser(sandboxUid);
  }

  defaultUser(): { uid: number; gid: number } {
    return this.#user;
  }

  async connect(): Promise<string> {
    return 'host';
  }

  async ensureImage(image: string): Promise<ImageReport> {
    return { image, origin: 'none: the programs of this host are used whatever the image' };
  }

  async launch(request: LaunchRequest, sink: OutputSink): Promise<RunningCommand> {
    const { record, execId } = request;
    const mark = markOf(this.#stateFolder, record.id, execId);
    const translate = (text: string) => hostPath(record, text);
    // The command's TMPDIR. It is beside the home folder, so that it is removed with the sandbox even if this process
    // is lost.
    const temporary = await mkdtemp(join(dirname(translate(homeTarget)), 'tmp-'));
    const env = marked(mark, {
      ...Object.fromEntries(Object.entries(request.env).map(([name, value]) => [name, translate(value)])),
      ...(await gitEnvironment(record)),
      PATH: process.env['PATH'] ?? request.env['PATH'] ?? '/usr/bin:/bin',
      TMPDIR: temporary,
    });
    const argv = request.argv.map((word, index) => (index === 0 ? word : translate(word)));
    // setpriv also drops root's supplementary groups, which spawn's uid and gid options keep.
    const { uid, gid } = record.user;
    const identity = this.#root ? ['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', '--'] : [];
    if (this.#root) await chown(temporary, uid, gid);
    const words = [...identity, ...argv];
    let child: ChildProcess;
    try {
      await request.beforeStart?.();
      child = await spawned(words, { cwd: translate(workspaceTarget), env, detached: true, stdio: 'pipe' });
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
    const recorded = this.#running.add(record.id, execId, child.pid ?? 0);
    // There must be no await between the spawn and this line. Otherwise a short command could end before its listeners
    // are attached, and its output would be lost.
    return new HostCommand(child, mark, request.stdin, sink, async () => {
      // Files that can't be removed now are removed with the sandbox.
      await removeTree(temporary).catch(() => undefined);
      await (
        await recorded
      )();
    });
  }

  async endAll(sandboxId: string, execId?: string): Promise<void> {
    for (const entry of await this.#running.list()) {
      if (entry.sandboxId === sandboxId && (execId === undefined || entry.execId === execId)) killGroup(entry.pid);
    }
    await endMarked(markOf(this.#stateFolder, sandboxId, execId), markStandsAnywhere);
  }

  async running(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const { sandboxId } of await this.#running.list()) counts.set(sandboxId, (counts.get(sandboxId) ?? 0) + 1);
    return counts;
  }

  async close(): Promise<void> {}
}

async function spawned(words: readonly string[], options: SpawnOptions): Promise<ChildProcess> {
  try {
    const child = spawn(words[0] ?? '', words.slice(1), options);
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    return child;
  } catch (error) {
    throw new CoppiceError('sandbox-failed', `the command can't be started: ${reasonOf(error)}`, { cause: error });
  }
}

/** Translates a path in a mount of the sandbox into the host's path. Returns other texts unchanged. */
function hostPath(record: SandboxRecord, text: string): string {
  const innermost = record.mounts.toSorted((a, b) => b.target.length - a.target.length);
  for (const { source, target } of innermost) {
    if (text === target || text.startsWith(`${target}/`)) return source + text.slice(target.length);
  }
  return text;
}

/** Returns git's environment variables that replace the link file, since this engine doesn't mount that file. */
async function gitEnvironment(record: SandboxRecord): Promise<Record<string, string>> {
  const link = record.mounts.find((mount) => mount.target === `${workspaceTarget}/.git`);
  if (link === undefined) return {};
  const text = (await readFile(link.source, 'utf8')).slice(0, linkFileBytesMax);
  const gitFolder = hostPath(record, /^gitdir: (.+)$/m.exec(text)?.[1] ?? '');
  const alternates = await readFile(join(gitFolder, 'objects/info/alternates'), 'utf8').catch(() => '');
  const stores = alternates.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return {
    GIT_DIR: gitFolder,
    GIT_WORK_TREE: hostPath(record, workspaceTarget),
    GIT_ALTERNATE_OBJECT_DIRECTORIES: stores.map((store) => hostPath(record, store)).join(':'),
  };
}

class HostCommand implements RunningCommand {
  readonly ended: Promise<CommandEnd>;
  readonly #child: ChildProcess;

  constructor(
    child: ChildProcess,
    mark: string,
    stdin: Uint8Array | undefined,
    sink: OutputSink,
    clean: () => Promise<void>,
  ) {
    this.#child = child;
    child.stdout?.on('data', (chunk: Buffer) => sink('stdout', chunk));
    child.stderr?.on('data', (chunk: Buffer) => sink('stderr', chunk));
    child.stdin?.on('error', () => undefined).end(stdin);
    this.ended = this.#waitForEnd(mark, clean);
    this.ended.catch(() => undefined);
  }

  async #waitForEnd(mark: string, clean: () => Promise<void>): Promise<CommandEnd> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      this.#child.once('exit', (...result) => resolve(result)),
    );
    // Kills processes that the command left running, since they may keep its output open and delay `closed`.
    killGroup(this.#child.pid ?? 0);
    await endMarked(mark, markStandsAnywhere);
    await closed;
    await clean();
    return {
      exitCode: code ?? 128 + (signal === null ? 9 : constants.signals[signal]),
      oomKilled: false,
      throttledPeriods: 0,
    };
  }

  kill(): void {
    killGroup(this.#child.pid ?? 0);
  }

  firstProcess(): undefined {
    // Always undefined, since this engine creates no namespace and has no disk limit.
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

function killGroup(pid: number): void {
  if (pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All processes of the group have already ended.
  }
}
