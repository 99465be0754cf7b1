/**
 * The only place that runs git.
 *
 * Invariants:
 * 1. Git runs in two modes. In `service` mode, it works on Coppice's own stores with a configuration that neither a
 *    user nor an agent wrote. In `user` mode, it works on the user's repository or a remote with the user's
 *    configuration. In both modes, it never uses a folder or git directory that an agent can write.
 * 2. Both modes disable hooks, fsmonitor, automatic gc and prompts.
 * 3. Every run has a time limit and an output limit. When git exceeds a limit, the whole process group gets SIGTERM and
 *    later SIGKILL, since fetch and push have children. If an `update-ref --stdin` process is killed, it leaves a lock
 *    file in about one of 20 cases. So commands that lock refs run with `runsToEnd`. Neither cancellation nor the usual
 *    time limit ends them.
 * 4. Git gets only the environment variables named in this file. The stack's environment contains passwords and keys,
 *    and git may start any program as a filter or credential helper.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { LRUCache } from 'lru-cache';
import { CoppiceError } from '@coppice/contracts';
import { replaceFile } from '@coppice/files';
import { isAtLeast, parseVersion } from '@coppice/service';
import { abortReason, gitFailure, notStarted } from './failures.ts';
import { canFlock, shareFlock } from './flock.ts';

export const gitLimits = {
  timeMsDefault: 120_000,
  /** For commands that depend on a network or on the size of the user's checkout. */
  timeMsLong: 9 * 60_000,
  /** For `runsToEnd`. A ref transaction takes milliseconds, so a command that takes this long hangs. */
  timeMsToEnd: 10 * 60_000,
  outputBytesDefault: 256 * 1024 * 1024,
  errorBytesMax: 16 * 1024,
  /** Time between SIGTERM and SIGKILL. */
  graceMs: 5_000,
  /** Maximum number of remembered results of `holds`. */
  factsMax: 20_000,
} as const;

/** The first version that merges without a working tree (`merge-tree --write-tree`). */
const versionMin = '2.38.0';

/**
 * Account that git runs under in `user` mode if the stack runs as root. If git ran as root, the user couldn't write the
 * new files in the repository.
 */
export type Account = { uid: number; gid: number; home: string; name: string };

export type GitOptions = {
  gitDir?: string;
  workTree?: string;
  indexFile?: string;
  cwd?: string;
  as?: 'service' | 'user';
  /** Only with `as: 'user'`. */
  account?: Account | null;
  environment?: Record<string, string>;
  input?: string | Buffer;
  /** Exit codes other than 0 that aren't failures. */
  answers?: readonly number[];
  timeLimitMs?: number;
  outputBytesMax?: number;
  /** If true, output beyond the limit is dropped. If false, it is an error. */
  truncate?: boolean;
  signal?: AbortSignal | undefined;
  /** For commands that lock refs. `signal` can only prevent their start, and their time limit is `timeMsToEnd`. */
  runsToEnd?: boolean;
  /** File that git locks by a shared flock while it runs. See store-writers.ts. */
  writersFile?: string;
  /** Time that git waits for a lock on refs; default 15 s. */
  lockTimeoutMs?: number;
};

export type GitResult = { exitCode: number; stdout: Buffer; stderr: string; truncated: boolean };

/**
 * Running git process that the caller writes to or reads from. `ended` rejects with the errors of `run`. The caller
 * must await it.
 */
export type GitProcess = { stdin: Writable; stdout: Readable; ended: Promise<GitResult>; kill: () => void };

const asOptions = (settings: readonly string[]): string[] => settings.flatMap((setting) => ['-c', setting]);

const commonSettings = asOptions([
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.untrackedCache=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'protocol.ext.allow=never',
  'submodule.recurse=false',
  'fetch.recurseSubmodules=false',
  // Stores fetched objects together, as one pack. If git unpacked them one by one, a commit would exist before its
  // files. Which of the two settings applies depends on git's version.
  'fetch.unpackLimit=1',
  'transfer.unpackLimit=1',
  'credential.interactive=false',
  // Ends a connection if the server sends nothing for 60 s. A server that is still counting objects sends something
  // every 5 s.
  'http.lowSpeedLimit=1',
  'http.lowSpeedTime=60',
  'commit.gpgSign=false',
]);

const lockTimeoutMsDefault = 15_000;
const lockSettings = ({ lockTimeoutMs }: GitOptions): string[] =>
  asOptions(
    ['core.packedRefsTimeout', 'core.filesRefLockTimeout'].map(
      (name) => `${name}=${lockTimeoutMs ?? lockTimeoutMsDefault}`,
    ),
  );

/** Environment variables that git inherits in `user` mode. They identify the user and configure network access. */
const handedOver =
  /^(PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TMPDIR|TERM|XDG_[A-Z_]+|SSH_AUTH_SOCK|SSL_CERT_(FILE|DIR)|GIT_SSL_CA(INFO|PATH)|(https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY)$/;

/** Checks a revision, ref or path that is passed to git, so that git can't parse it as an option. */
export function operand(value: string): string {
  if (value === '' || value.startsWith('-') || /[\0\n]/.test(value)) {
    throw new CoppiceError('invalid-request', `not usable as a name: ${JSON.stringify(value.slice(0, 200))}`);
  }
  return value;
}

/** Splits NUL-separated output into byte strings, which have one character per byte. */
export const nulSeparated = (output: Buffer): string[] => {
  const text = output.toString('latin1');
  if (text === '') return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
};

export class Git {
  readonly #configFile: string;
  readonly #settings: readonly string[];
  readonly #facts = new LRUCache<string, true>({ max: gitLimits.factsMax });
  #hasFlock = false;

  /**
   * `configFile` is a file that `start` writes. In `service` mode, git reads it instead of the user's and the system's
   * configuration. `settings` override all other settings.
   */
  constructor(configFile: string, settings: readonly string[] = []) {
    this.#configFile = configFile;
    this.#settings = asOptions(settings);
  }

  /** Writes the private configuration and returns git's version. Throws `unavailable` if git is missing or too old. */
  async start(): Promise<string> {
    mkdirSync(dirname(this.#configFile), { recursive: true, mode: 0o711 });
    // Without this setting, a git that runs as root rejects repositories of other users. Git ignores `-c
    // safe.directory`, so the setting must be in a file. The file is replaced atomically, since a git of another
    // process may be reading it.
    await replaceFile(this.#configFile, '[safe]\n\tdirectory = *\n');
    this.#hasFlock = await canFlock(this.#configFile);
    const { stdout } = await this.run(['version']);
    const version = parseVersion(stdout.toString());
    if (version !== null && isAtLeast(version, versionMin)) return version;
    const message = `git ${versionMin} or newer is needed, found ${version ?? 'an unknown version'}`;
    throw new CoppiceError('unavailable', message, { retryable: false });
  }

  /** False if the program `flock` is missing, as on macOS. In this case, `writersFile` is ignored. */
  get hasFlock(): boolean {
    return this.#hasFlock;
  }

  /** Runs git until it ends. Throws `git-failed`, `git-contention`, `deadline-exceeded`, `cancelled` or `limit-exceeded`. */
  async run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const child = this.#spawn(args, options);
    const limit = options.outputBytesMax ?? gitLimits.outputBytesDefault;
    const chunks: Buffer[] = [];
    let bytes = 0;
    let truncated = false;
    child.process.stdout?.on('data', (chunk: Buffer) => {
      if (truncated) return;
      bytes += chunk.length;
      if (bytes > limit) {
        truncated = true;
        chunks.push(chunk.subarray(0, chunk.length - (bytes - limit)));
        child.kill();
      } else chunks.push(chunk);
    });
    child.process.stdin?.end(options.input ?? '');
    const result = await child.ended.catch((error: unknown) => {
      if (truncated) return { exitCode: 0, stderr: '' };
      throw error;
    });
    if (truncated && options.truncate !== true) {
      throw new CoppiceError('limit-exceeded', `git ${args[0]} printed more than ${limit} bytes`);
    }
    return { exitCode: result.exitCode, stderr: result.stderr, stdout: Buffer.concat(chunks), truncated };
  }

  async text(args: readonly string[], options: GitOptions = {}): Promise<string> {
    return (await this.run(args, options)).stdout.toString('utf8').trim();
  }

  /** Returns true if git exits with 0, false if it exits with 1. */
  async test(args: readonly string[], options: GitOptions = {}): Promise<boolean> {
    return (await this.run(args, { ...options, answers: options.answers ?? [1] })).exitCode === 0;
  }

  /**
   * Like `test`, for a fact that never becomes false again. Remembers a positive result, so that later calls with the
   * same `fact` don't run git.
   */
  async holds(fact: string, args: readonly string[], options: GitOptions = {}): Promise<boolean> {
    if (this.#facts.get(fact) === true) return true;
    const answer = await this.test(args, options);
    if (answer) this.learn(fact);
    return answer;
  }

  /** Records a fact so that `holds` need not run git for it. */
  learn(fact: string): void {
    this.#facts.set(fact, true);
  }

  /** Starts git for a caller that writes to it or reads from it while it runs. */
  process(args: readonly string[], options: GitOptions = {}): GitProcess {
    const child = this.#spawn(args, options);
    const { stdin, stdout } = child.process;
    if (stdin === null || stdout === null) throw new Error('a piped child has no pipes');
    const ended = child.ended.then((result) => ({ ...result, stdout: Buffer.alloc(0), truncated: false }));
    return { stdin, stdout, ended, kill: child.kill };
  }

  #environment(options: GitOptions): Record<string, string> {
    const environment: Record<string, string> = {};
    if (options.as === 'user') {
      for (const [name, value] of Object.entries(process.env)) {
        if (value !== undefined && handedOver.test(name)) environment[name] = value;
      }
      if (options.account) {
        Object.assign(environment, {
          HOME: options.account.home,
          USER: options.account.name,
          LOGNAME: options.account.name,
        });
        for (const name of Object.keys(environment)) {
          if (name.startsWith('XDG_') || name === 'SSH_AUTH_SOCK' || name === 'TMPDIR') delete environment[name];
        }
      }
    } else {
      environment['PATH'] = process.env['PATH'] ?? '/usr/bin:/bin';
      environment['HOME'] = dirname(this.#configFile);
      environment['GIT_CONFIG_NOSYSTEM'] = '1';
      environment['GIT_CONFIG_GLOBAL'] = this.#configFile;
      environment['GIT_ATTR_NOSYSTEM'] = '1';
    }
    Object.assign(environment, {
      LC_ALL: 'C',
      TZ: 'UTC',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: 'true',
      SSH_ASKPASS_REQUIRE: 'never',
      GIT_ALLOW_PROTOCOL: 'file:git:http:https:ssh',
      GIT_OPTIONAL_LOCKS: '0',
      GIT_EDITOR: 'true',
      GIT_NO_REPLACE_OBJECTS: '1',
      // Otherwise git would fetch missing objects of a partial clone with commands from the clone's configuration.
      GIT_NO_LAZY_FETCH: '1',
    });
    if (options.gitDir !== undefined) environment['GIT_DIR'] = options.gitDir;
    if (options.workTree !== undefined) environment['GIT_WORK_TREE'] = options.workTree;
    if (options.indexFile !== undefined) environment['GIT_INDEX_FILE'] = options.indexFile;
    return { ...environment, ...options.environment };
  }

  #spawn(args: readonly string[], options: GitOptions) {
    if (options.signal?.aborted) throw abortReason(args, options.signal);
    const cwd = options.cwd ?? options.gitDir ?? '/';
    const [program = '', ...words] = [
      // In `user` mode, a credential helper or ssh may leave a daemon that would keep an inherited lock.
      ...(options.writersFile === undefined || !this.#hasFlock
        ? []
        : shareFlock(options.writersFile, options.as !== 'user')),
      'git',
      ...commonSettings,
      ...lockSettings(options),
      ...this.#settings,
      ...args,
    ];
    const child = spawn(program, words, {
      cwd,
      env: this.#environment(options),
      stdio: ['pipe', 'pipe', 'pipe'],
      // Gives git a process group of its own, so that git and its children can be killed together. Git also gets no
      // terminal, where ssh could prompt for a password.
      detached: true,
      ...(options.account ? { uid: options.account.uid, gid: options.account.gid } : {}),
    });
    // `ended` also reports this error. But if no descriptor is free, there are no pipes, and the code below throws
    // before it creates `ended`.
    child.on('error', () => {});
    // If git ends early, writing to the pipe fails. The exit code then gives the reason.
    child.stdin.on('error', () => {});
    let stop: CoppiceError | undefined;
    const end = (error: CoppiceError) => {
      stop ??= error;
      killGroup(child);
    };
    const limit = options.runsToEnd ? gitLimits.timeMsToEnd : (options.timeLimitMs ?? gitLimits.timeMsDefault);
    const timer = setTimeout(
      () => end(new CoppiceError('deadline-exceeded', `git ${args[0]} took longer than ${limit} ms`)),
      limit,
    );
    const onAbort = () => end(abortReason(args, options.signal));
    if (options.runsToEnd !== true) options.signal?.addEventListener('abort', onAbort, { once: true });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < gitLimits.errorBytesMax) stderr += chunk.toString('utf8');
    });
    const ended = once(child, 'close').then(
      ([code, signal]) => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        if (stop !== undefined) throw stop;
        const exitCode = typeof code === 'number' ? code : 128;
        // A process that was ended by a signal has no result.
        const isAnswer = typeof signal !== 'string' && (exitCode === 0 || options.answers?.includes(exitCode) === true);
        if (isAnswer) return { exitCode, stderr };
        const how = typeof signal === 'string' ? signal : `exit code ${exitCode}`;
        throw gitFailure(args, { exitCode, how, stderr });
      },
      (error: unknown) => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        if (options.as === 'user' && !existsSync(cwd))
          throw new CoppiceError('repository-not-found', `repository: ${cwd} no longer exists`, { cause: error });
        throw notStarted(error);
      },
    );
    // The caller gets the error when it awaits `ended`. Until then, this handler prevents an unhandled rejection, which
    // would end this process.
    ended.catch(() => {});
    return { process: child, ended, kill: () => killGroup(child) };
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const send = (signal: NodeJS.Signals) => {
    try {
      process.kill(-(child.pid as number), signal);
    } catch {
      // The process has already ended.
    }
  };
  send('SIGTERM');
  const timer = setTimeout(() => send('SIGKILL'), gitLimits.graceMs);
  timer.unref();
  child.once('close', () => clearTimeout(timer));
}
