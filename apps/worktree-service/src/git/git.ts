/**
 * The only place that runs git.
 *
 * Invariants:
 * 1. Git runs here in two manners. As the `service`: in Coppice's own bare stores, with a configuration that no user and no agent wrote.
 *    As the `user`: in the user's own repository or towards a remote, with the user's configuration (credentials, filters of their checkout).
 *    Never in, or against, a folder or .git that an agent can write.
 * 2. No hook runs, no fsmonitor, no automatic gc, no prompt, in either manner.
 * 3. Every run has a time limit and an output limit. What exceeds one is ended: SIGTERM, later SIGKILL, to the whole process group, since
 *    fetch and push have children. Git does not always remove its lock files then (of `update-ref --stdin`, about one process in 20 leaves
 *    one). So whatever locks refs runs with `runsToEnd`: neither a cancellation nor the usual time limit ends it.
 * 4. Of the environment, git gets what is named here and nothing else: a filter or credential helper of a repository is any program, and
 *    the stack's environment holds passwords and keys. Of GIT_*, it inherits only where certificates lie.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { CoppiceError } from '@coppice/contracts';
import { replaceFile } from '@coppice/service';
import { abortReason, gitFailure, notStarted } from './failures.ts';
import { canFlock, shareFlock } from './flock.ts';
import { Remembered } from './remembered.ts';

export const gitLimits = {
  timeMsDefault: 120_000,
  /** For what depends on a network or on the size of the user's checkout. */
  timeMsLong: 9 * 60_000,
  /** For `runsToEnd`. What takes this long hangs: a ref transaction takes milliseconds. */
  timeMsToEnd: 10 * 60_000,
  outputBytesDefault: 256 * 1024 * 1024,
  errorBytesMax: 16 * 1024,
  /** Between SIGTERM and SIGKILL. */
  graceMs: 5_000,
  /** Answers of `holds` that are remembered. */
  factsMax: 20_000,
} as const;

/** Merges without a working tree (`merge-tree --write-tree`) came with this version. */
const versionMin = [2, 38] as const;

/** The account that a git of the user's runs under where the stack is root: files that root made in a user's repository would lock them out. */
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
  /** Exit codes besides 0 that are an answer, not a failure. */
  answers?: readonly number[];
  timeLimitMs?: number;
  outputBytesMax?: number;
  /** Where set, output past the limit is cut instead of being an error. */
  truncate?: boolean;
  signal?: AbortSignal | undefined;
  /** For commands that lock refs: `signal` only keeps them from starting, and the time limit is `timeMsToEnd`. */
  runsToEnd?: boolean;
  /** A file on which a shared flock is held while git runs; as the `service`, also while anything that it started runs. See store-writers.ts. */
  writersFile?: string;
  /** How long git tries to get a lock on refs; default 15 s. */
  lockTimeoutMs?: number;
};

export type GitResult = { exitCode: number; stdout: Buffer; stderr: string; truncated: boolean };

/** A git process that is fed or read while it runs. `ended` rejects like `run`; the caller must await it. */
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
  // What is fetched appears whole, as one pack, or not at all. Written one by one, a commit is there before its files. Which of both
  // settings wins depends on git's version.
  'fetch.unpackLimit=1',
  'transfer.unpackLimit=1',
  'credential.interactive=false',
  // A server that sends nothing holds a place. One that is still counting objects sends something every 5 s.
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

/** What a git of the user's gets of our environment: who they are, and how the network is reached. */
const handedOver =
  /^(PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TMPDIR|TERM|XDG_[A-Z_]+|SSH_AUTH_SOCK|SSL_CERT_(FILE|DIR)|GIT_SSL_CA(INFO|PATH)|(https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY)$/;

/** A value that may stand where git expects a revision, ref or path: it can't be taken for an option. */
export function operand(value: string): string {
  if (value === '' || value.startsWith('-') || /[\0\n]/.test(value)) {
    throw new CoppiceError('invalid-request', `not usable as a name: ${JSON.stringify(value.slice(0, 200))}`);
  }
  return value;
}

/** NUL-separated output; names are bytes, kept one byte a character. */
export const nulSeparated = (output: Buffer): string[] => {
  const text = output.toString('latin1');
  if (text === '') return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
};

export class Git {
  readonly #configFile: string;
  readonly #settings: readonly string[];
  readonly #facts = new Remembered<true>(gitLimits.factsMax);
  #hasFlock = false;

  /** `configFile`: a file of Coppice's own, written here; read in place of the user's and the system's. `settings`: more, over all others. */
  constructor(configFile: string, settings: readonly string[] = []) {
    this.#configFile = configFile;
    this.#settings = asOptions(settings);
  }

  /** Writes the private configuration and checks git's version. Throws `unavailable` where git is absent or too old. */
  async start(): Promise<string> {
    mkdirSync(dirname(this.#configFile), { recursive: true, mode: 0o711 });
    // Root reading a repository of another user is refused otherwise; `-c safe.directory` is not looked at.
    // Put in place whole: another process on the same data folder may be running git just now.
    await replaceFile(this.#configFile, '[safe]\n\tdirectory = *\n');
    this.#hasFlock = await canFlock(this.#configFile);
    const { stdout } = await this.run(['version']);
    const version = /(\d+)\.(\d+)[.\d]*/.exec(stdout.toString());
    const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)];
    if (major < versionMin[0] || (major === versionMin[0] && minor < versionMin[1])) {
      const found = version?.[0] ?? 'an unknown version';
      throw new CoppiceError('unavailable', `git ${versionMin.join('.')} or newer is needed, found ${found}`, {
        retryable: false,
      });
    }
    return version?.[0] ?? '';
  }

  /** False where util-linux's `flock` is missing, as on macOS: `writersFile` is ignored then. */
  get hasFlock(): boolean {
    return this.#hasFlock;
  }

  /** Runs git to its end. Throws `git-failed`, `deadline-exceeded`, `cancelled` or `limit-exceeded`. */
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

  /** Trimmed text output. */
  async text(args: readonly string[], options: GitOptions = {}): Promise<string> {
    return (await this.run(args, options)).stdout.toString('utf8').trim();
  }

  /** Whether git answers 0 (yes) or 1 (no). */
  async test(args: readonly string[], options: GitOptions = {}): Promise<boolean> {
    return (await this.run(args, { ...options, answers: options.answers ?? [1] })).exitCode === 0;
  }

  /** Like `test`, of what stays true once it is, and is called `fact`: asked until the answer is yes. */
  async holds(fact: string, args: readonly string[], options: GitOptions = {}): Promise<boolean> {
    if (this.#facts.get(fact) === true) return true;
    const answer = await this.test(args, options);
    if (answer) this.learn(fact);
    return answer;
  }

  /** Notes a fact that `holds` would otherwise ask for. */
  learn(fact: string): void {
    this.#facts.set(fact, true);
  }

  /** Starts git for a caller that feeds or reads it as it runs. */
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
      // A partial clone would fetch, by commands that its configuration names.
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
      // A credential helper or ssh of the user's may leave a daemon.
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
      // A group of its own, to be ended as a whole; and no terminal, on which ssh could ask for a password.
      detached: true,
      ...(options.account ? { uid: options.account.uid, gid: options.account.gid } : {}),
    });
    // Told below, too; but where no descriptor is left there is no pipe to go on with.
    child.on('error', () => {});
    // A git that ends early breaks the pipe; its exit code tells why.
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
        // One that was ended from outside has answered nothing.
        const isAnswer = typeof signal !== 'string' && (exitCode === 0 || options.answers?.includes(exitCode) === true);
        if (isAnswer) return { exitCode, stderr };
        const how = typeof signal === 'string' ? signal : `exit code ${exitCode}`;
        throw gitFailure(args, { exitCode, how, stderr });
      },
      (error: unknown) => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        if (options.as === 'user' && !existsSync(cwd))
          throw new CoppiceError('repository-not-found', `repository: ${cwd} is not there any more`, { cause: error });
        throw notStarted(error);
      },
    );
    // Whoever awaits it sees the failure; nobody's lateness may end the process.
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
      // It has ended by itself.
    }
  };
  send('SIGTERM');
  const timer = setTimeout(() => send('SIGKILL'), gitLimits.graceMs);
  timer.unref();
  child.once('close', () => clearTimeout(timer));
}
