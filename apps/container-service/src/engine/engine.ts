/**
 * The only implementation of the Engine port. A Launcher provides what differs between engines.
 *
 * 1. A sandbox is its record on disk (store.ts). The engine object has no state that another process needs.
 * 2. Mount sources are checked at create and again before every command.
 * 3. A command's result is returned even if its files can't be removed. `sweep` removes them later.
 * 4. A command first ends an earlier command with the same id that still runs.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CoppiceError, ownDraftPrefix, shortHash } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { LRUCache } from 'lru-cache';
import { DiskMeter, type DiskBudget } from './disk-watch.ts';
import type { Launcher, LaunchRequest, SandboxRecord } from './launcher.ts';
import { commandBytesMax, commandsAtOnceMax, diskMetersMax, stdinBytesMax } from './limits.ts';
import type {
  Command,
  Engine,
  EngineReport,
  ExecOptions,
  ExecResult,
  SandboxInfo,
  SandboxLabels,
  SandboxSpec,
  WriteOptions,
} from './port.ts';
import type { ProbeOptions } from './probe-engine.ts';
import { Probing } from './probing.ts';
import {
  checkMountSource,
  checkSandboxId,
  homeTarget,
  recordOf,
  refuse,
  resolveInSandbox,
  workspaceTarget,
  type MountRules,
} from './specification.ts';
import { SandboxStore } from './store.ts';
import { supervise } from './supervise.ts';

export interface EngineOptions extends ProbeOptions {
  launcher: Launcher;
  /** Folder that contains all mount sources. Created when missing. */
  dataFolder: string;
  /** Called with errors that don't affect a result, for example if files can't be deleted. */
  onTrouble?: ((error: unknown, what: string) => void) | undefined;
}

const writeMsMax = 60_000;
const writeTries = 3;
/** Exit code of the write script if another write of the same file removed the draft. */
const draftLostCode = 75;
/**
 * Shell script that writes a file. Arguments: folder, target, mode, draft, size, and the prefix of drafts to remove
 * first. The script writes the content to the draft and renames the draft, so that no process reads an incomplete file.
 * It compares the size, since standard input also ends when this process dies.
 */
const writeScript = `
if [ -d "$2" ]; then echo "it is a folder" >&2; exit 1; fi
mkdir -p -- "$1" || exit 1
[ -z "$6" ] || rm -f -- "$6"* || exit 1
(set -C && cat > "$4") || { rm -f -- "$4"; exit 1; }
[ -e "$4" ] || exit ${draftLostCode}
if [ "$(wc -c < "$4")" -ne "$5" ]; then rm -f -- "$4"; echo "only a part of the content arrived" >&2; exit 1; fi
chmod "$3" "$4" && mv -f -- "$4" "$2" && exit 0
[ -e "$4" ] || exit ${draftLostCode}
rm -f -- "$4"
exit 1`;

const inFolder = ['/bin/sh', '-c', 'cd -- "$1" && shift && exec "$@"', 'sh'];

/** Creates an engine and deletes the files of removals that a crash interrupted. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  for (const folder of [options.dataFolder, options.stateFolder]) await mkdir(folder, { recursive: true, mode: 0o755 });
  const rules = { dataFolder: await realpath(options.dataFolder), stateFolder: await realpath(options.stateFolder) };
  const engine = new LauncherEngine(options, rules);
  await engine.sweep();
  return engine;
}

class LauncherEngine implements Engine {
  readonly #launcher: Launcher;
  readonly #rules: MountRules;
  readonly #store: SandboxStore;
  /** Limits the running commands of each sandbox. */
  readonly #commands = new Admission({ total: Number.POSITIVE_INFINITY, perGroup: commandsAtOnceMax });
  readonly #meters = new LRUCache<string, { budgets: string; meter: DiskMeter }>({ max: diskMetersMax });
  readonly #onTrouble: (error: unknown, what: string) => void;
  readonly #probing: Probing;

  constructor(options: EngineOptions, rules: MountRules) {
    this.#launcher = options.launcher;
    this.#rules = rules;
    this.#onTrouble = options.onTrouble ?? (() => undefined);
    this.#store = new SandboxStore(rules.stateFolder, this.#onTrouble);
    this.#probing = new Probing(this.#launcher, { ...options, stateFolder: rules.stateFolder }, this.#onTrouble);
  }

  get name() {
    return this.#launcher.name;
  }

  probe(): Promise<EngineReport> {
    return this.#probing.report();
  }

  settled(): Promise<EngineReport> {
    return this.#probing.settled();
  }

  ensureImage(image: string, onProgress: (line: string) => void = () => undefined) {
    return this.#launcher.ensureImage(image, onProgress);
  }

  async create(spec: SandboxSpec): Promise<void> {
    const record = await recordOf(spec, { user: this.#launcher.defaultUser() }, this.#rules);
    await this.#probing.require(spec.requires ?? []);
    await this.ensureImage(record.image);
    await this.#store.create(record);
  }

  async exec(sandboxId: string, command: Command, options: ExecOptions = {}): Promise<ExecResult> {
    const record = await this.#store.get(sandboxId);
    for (const mount of record.mounts) {
      if (mount.target !== homeTarget) await checkMountSource(mount.source, `mount ${mount.target}`, this.#rules);
    }
    const request = this.#requestOf(record, command, options);
    if (!this.#commands.tryTake(1, sandboxId)) {
      const message = `sandbox ${sandboxId} runs ${commandsAtOnceMax} commands already, the most at once`;
      throw new CoppiceError('limit-exceeded', message, { retryable: true });
    }
    try {
      if (options.execId !== undefined) await this.#launcher.endAll(sandboxId, options.execId);
      return await supervise(
        (sink, beforeStart) => this.#launcher.launch({ ...request, beforeStart }, sink),
        options,
        this.#meterOf(record),
      );
    } finally {
      this.#commands.giveBack(1, sandboxId);
    }
  }

  #requestOf(record: SandboxRecord, command: Command, options: ExecOptions): LaunchRequest {
    const words = typeof command === 'string' ? ['/bin/sh', '-c', command] : [...command];
    if (words.length === 0 || words[0] === '') refuse('command is empty');
    if (words.some((word) => word.includes('\0'))) refuse('command holds a NUL');
    const bytes = words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
    if (bytes > commandBytesMax) refuse(`command has ${bytes} bytes, at most ${commandBytesMax} are allowed`);
    const cwd = resolveInSandbox(options.cwd ?? '.', 'cwd');
    if (options.stdin !== undefined && options.stdin.length > stdinBytesMax) {
      refuse(`standard input has ${options.stdin.length} bytes, at most ${stdinBytesMax} are allowed`);
    }
    return {
      record,
      execId: options.execId ?? randomUUID(),
      // A shell changes to the folder and starts the program. So every engine reports a missing folder or program in
      // the same way, with an exit code and a line on stderr. Docker itself would create a missing folder as root.
      argv: cwd === workspaceTarget ? ['/bin/sh', '-c', 'exec "$@"', 'sh', ...words] : [...inFolder, cwd, ...words],
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        LANG: 'C.UTF-8',
        TMPDIR: '/tmp',
        ...record.env,
        ...options.env,
        HOME: homeTarget,
        COPPICE_TASK_ID: record.labels.taskId,
        COPPICE_WORKSPACE: workspaceTarget,
      },
      stdin: options.stdin,
    };
  }

  /** Keeps the disk meter between commands, so that a short command does not cause a full count. */
  #meterOf(record: SandboxRecord): DiskMeter {
    const writable = record.mounts.filter((mount) => !mount.readOnly && mount.target !== homeTarget);
    const budgets: DiskBudget[] = [
      { folders: writable.map((mount) => mount.source), bytesMax: record.limits.diskBytes },
      { folders: [this.#store.homeOf(record.id)], bytesMax: record.limits.scratchBytes },
    ];
    const text = JSON.stringify(budgets);
    const known = this.#meters.get(record.id);
    // Reuses the meter only for the same budgets, since another process may have recreated the sandbox with other
    // mounts or limits.
    if (known?.budgets === text) return known.meter;
    const meter = new DiskMeter(budgets);
    this.#meters.set(record.id, { budgets: text, meter });
    return meter;
  }

  async writeFile(id: string, path: string, bytes: Uint8Array, options: WriteOptions = {}): Promise<void> {
    const target = resolveInSandbox(path, 'path');
    const folder = dirname(target);
    const { effectId } = options;
    const prefix = join(folder, effectId === undefined ? ownDraftPrefix : `${ownDraftPrefix}${shortHash(effectId)}-`);
    const mode = options.executable === true ? '755' : '644';
    for (let count = 1; ; count++) {
      // The random part prevents an agent from blocking the draft with a file or folder of the same name.
      const draft = `${prefix}${randomUUID()}`;
      // Only the first attempt removes drafts of an interrupted write with the same effect id. Otherwise two concurrent
      // writes could remove each other's drafts forever.
      const leftovers = effectId === undefined || count > 1 ? '' : prefix;
      const argv = ['/bin/sh', '-c', writeScript, 'sh', folder, target, mode, draft, String(bytes.length), leftovers];
      const result = await this.exec(id, argv, { stdin: bytes, timeoutMs: writeMsMax });
      if (result.exitCode === 0 && !result.diskExceeded) return;
      if (result.exitCode === draftLostCode && count < writeTries) continue;
      // The script removes its draft itself, unless it was killed.
      if (result.signal !== null) await this.exec(id, ['rm', '-f', '--', draft], { timeoutMs: writeMsMax });
      const reason = result.diskExceeded ? 'the disk limit is reached' : result.stderr.text.trim();
      throw new CoppiceError('sandbox-failed', `${path} can't be written: ${reason}`, { retryable: false });
    }
  }

  async stop(sandboxId: string, execId?: string): Promise<void> {
    checkSandboxId(sandboxId);
    await this.#launcher.endAll(sandboxId, execId);
  }

  async remove(sandboxId: string): Promise<void> {
    await this.stop(sandboxId);
    this.#meters.delete(sandboxId);
    await this.#store.remove(sandboxId);
    // Ends a command that read the sandbox's record before the removal and started after `stop`.
    await this.#launcher.endAll(sandboxId);
  }

  async list(labels: Partial<SandboxLabels>): Promise<SandboxInfo[]> {
    const running = await this.#launcher.running();
    const wanted = Object.entries(labels) as [keyof SandboxLabels, string][];
    const records = await this.#store.list();
    return records
      .filter(({ record }) => wanted.every(([name, value]) => record.labels[name] === value))
      .map(({ record: { id, labels: found }, createdAt }) => ({
        id,
        labels: found,
        createdAt,
        running: running.get(id) ?? 0,
      }));
  }

  async run(spec: SandboxSpec, command: Command, options: ExecOptions = {}): Promise<ExecResult> {
    checkSandboxId(spec.id);
    await this.remove(spec.id);
    try {
      await this.create(spec);
      return await this.exec(spec.id, command, options);
    } finally {
      // An error here must not replace the command's result.
      await this.remove(spec.id).catch((error: unknown) =>
        this.#onTrouble(error, `sandbox ${spec.id} can't be removed`),
      );
    }
  }

  async sweep(): Promise<void> {
    await this.#store.sweep();
  }

  async close(): Promise<void> {
    await this.#probing.close();
    await this.#launcher.close();
  }
}
