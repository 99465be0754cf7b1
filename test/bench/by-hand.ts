import { execFile, spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { request } from 'node:http';
import { chmod, chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { isolatedGitEnvironment } from '@coppice/testing';
import { daemonAddress } from './docker-daemon.ts';
import type { DaemonAddress } from './docker-daemon.ts';

/**
 * Runs the git and container operations of a task directly, as the minimum cost of a task. Sandboxes are isolated only
 * by the engine's own options. There are no checks, no storage, no retries and no events.
 */
export type RawEngine = 'bubblewrap' | 'docker';
type ByHandSettings = {
  engine: RawEngine;
  folder: string;
  repository: string;
  imagesFolder: string;
  daemon: DaemonAddress;
  /**
   * True to set the file attribute that Coppice sets on its own folders (see worktree-service's unrelated-folders.ts).
   * Then a checkout on ext4 takes the same time with and without Coppice.
   */
  marked?: boolean;
};

const runFile = promisify(execFile);
const sandboxUid = 10_001;
const asSandboxUser = ['--reuid', `${sandboxUid}`, '--regid', `${sandboxUid}`, '--clear-groups'];

export class ByHand {
  readonly #settings: ByHandSettings;
  readonly #env: NodeJS.ProcessEnv;
  readonly #origin: string;
  readonly #tasks: string;
  #programs: Promise<{ image: string; bwrap: string }> | null = null;
  #number = 0;

  static async in(folder: string, settings: Pick<ByHandSettings, 'engine' | 'repository' | 'marked'>): Promise<ByHand> {
    // Allows the sandboxes' user to enter subfolders.
    await chmod(folder, 0o711);
    return new ByHand({
      ...settings,
      folder,
      imagesFolder: path.resolve(import.meta.dirname, '../../.cache/images'),
      daemon: daemonAddress(process.env),
    });
  }

  private constructor(settings: ByHandSettings) {
    this.#settings = settings;
    this.#env = isolatedGitEnvironment(settings.folder);
    this.#origin = path.join(settings.folder, 'origin.git');
    this.#tasks = path.join(settings.folder, 'tasks.git');
  }

  async setUp(): Promise<void> {
    // Ignores errors, since Coppice works without this attribute too.
    if (this.#settings.marked === true) await runFile('chattr', ['+T', this.#settings.folder]).catch(() => undefined);
    await this.#git(
      this.#settings.folder,
      'clone',
      '--quiet',
      '--bare',
      '--no-local',
      this.#settings.repository,
      this.#origin,
    );
    await this.#git(this.#settings.folder, 'init', '--quiet', '--bare', this.#tasks);
    await writeFile(path.join(this.#tasks, 'objects/info/alternates'), `${this.#origin}/objects\n`);
  }

  /** Runs one task that writes `text` to `file`. @returns the time in milliseconds, in total and by step */
  async task(file: string, text: string): Promise<{ totalMs: number; steps: Record<string, number> }> {
    const steps: Record<string, number> = {};
    const started = performance.now();
    const step = async <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
      const before = performance.now();
      const result = await work();
      steps[name] = (steps[name] ?? 0) + performance.now() - before;
      return result;
    };
    const number = this.#number++;
    const worktree = path.join(this.#settings.folder, `worktree-${number}`);
    const verify = path.join(this.#settings.folder, `verify-${number}`);
    const branch = `coppice/by-hand-${number}`;
    const base = await step('prepare', () => this.#prepare(worktree, branch));
    await step('write', () => this.#sandbox(worktree, `mkdir -p "$(dirname '${file}')" && cat > '${file}'`, text));
    const commit = await step('commit', () => this.#commit(branch, base, file, text));
    const merged = await step('merge', () => this.#merge(commit, verify));
    await step('verify', () => this.#sandbox(verify, 'true', ''));
    await step('land', () => this.#land(merged));
    await step('clean', () => this.#clean(worktree, verify, branch));
    return { totalMs: performance.now() - started, steps };
  }

  /** Runs the necessary part of an agent's turn, a sandboxed `true`. @returns milliseconds */
  async turn(): Promise<number> {
    const workspace = path.join(this.#settings.folder, 'turns');
    await mkdir(workspace, { recursive: true });
    const started = performance.now();
    await this.#sandbox(workspace, 'true', '');
    return performance.now() - started;
  }

  async #prepare(worktree: string, branch: string): Promise<string> {
    await this.#git(this.#origin, 'fetch', '--quiet', this.#settings.repository, '+refs/heads/main:refs/heads/main');
    const base = await this.#git(this.#origin, 'rev-parse', 'refs/heads/main');
    await this.#git(this.#tasks, 'worktree', 'add', '--quiet', '--no-checkout', '-b', branch, worktree, base);
    await this.#git(worktree, 'read-tree', '-u', '--reset', 'HEAD');
    await this.#give(worktree);
    return base;
  }

  async #give(folder: string): Promise<void> {
    await runFile('chown', ['-R', `${sandboxUid}:${sandboxUid}`, folder]);
  }

  async #commit(branch: string, base: string, file: string, text: string): Promise<string> {
    const stream = [
      `commit refs/heads/${branch}`,
      'committer By Hand <by@hand.invalid> 1750000000 +0000',
      'data 12',
      'feat: a file',
      `from ${base}`,
      `M 100644 inline ${file}`,
      `data ${Buffer.byteLength(text)}`,
      text,
      '',
    ].join('\n');
    await this.#git(this.#tasks, { input: stream }, 'fast-import', '--quiet', '--force');
    return this.#git(this.#tasks, 'rev-parse', `refs/heads/${branch}`);
  }

  async #merge(commit: string, verify: string): Promise<string> {
    await this.#git(this.#origin, 'fetch', '--quiet', this.#settings.repository, '+refs/heads/main:refs/heads/main');
    const tip = await this.#git(this.#origin, 'rev-parse', 'refs/heads/main');
    const tree = (await this.#git(this.#tasks, 'merge-tree', '--write-tree', tip, commit)).split('\n')[0] ?? '';
    const merged = await this.#git(this.#tasks, 'commit-tree', '-p', tip, '-p', commit, '-m', 'merge', tree);
    await this.#git(this.#tasks, 'update-ref', 'refs/heads/merged', merged);
    await mkdir(verify);
    const index = { env: { GIT_INDEX_FILE: `${verify}.index`, GIT_WORK_TREE: verify } };
    await this.#git(this.#tasks, index, 'read-tree', '-u', '--reset', tree);
    await this.#give(verify);
    return merged;
  }

  async #land(merged: string): Promise<void> {
    await this.#git(this.#settings.repository, 'fetch', '--quiet', this.#tasks, 'refs/heads/merged');
    await this.#git(this.#settings.repository, 'merge', '--quiet', '--ff-only', merged);
  }

  async #clean(worktree: string, verify: string, branch: string): Promise<void> {
    await this.#git(this.#tasks, 'worktree', 'remove', '--force', worktree);
    await this.#git(this.#tasks, 'branch', '--quiet', '-D', branch);
    await rm(verify, { recursive: true, force: true });
  }

  async #git(cwd: string, ...parts: (string | { input?: string; env?: Record<string, string> })[]): Promise<string> {
    const options = parts.filter((part) => typeof part !== 'string');
    const input = options.find((option) => option.input !== undefined)?.input;
    const env = { ...this.#env, ...options.find((option) => option.env !== undefined)?.env };
    const safe = ['-c', 'safe.directory=*', '-c', 'gc.auto=0'];
    const args = [...safe, ...parts.filter((part) => typeof part === 'string')];
    return runProgram('git', args, { cwd, env, input: input ?? '' });
  }

  async #sandbox(workspace: string, shell: string, input: string): Promise<void> {
    if (this.#settings.engine === 'bubblewrap') await this.#bubblewrap(workspace, shell, input);
    else await this.#docker(workspace, shell, input);
  }

  async #bubblewrap(workspace: string, shell: string, input: string): Promise<void> {
    const { image, bwrap } = await (this.#programs ??= this.#reachable());
    const uid = process.getuid?.() === 0 ? ['setpriv', ...asSandboxUser] : [];
    const view = [
      '--unshare-all',
      '--die-with-parent',
      '--new-session',
      '--cap-drop',
      'ALL',
      '--clearenv',
      '--setenv',
      'PATH',
      '/usr/bin:/bin',
    ];
    const mounts = [
      '--ro-bind',
      image,
      '/',
      '--proc',
      '/proc',
      '--ro-bind',
      '/proc/sys',
      '/proc/sys',
      '--dev',
      '/dev',
      '--tmpfs',
      '/tmp',
    ];
    const words = [
      ...uid,
      bwrap,
      ...view,
      ...mounts,
      '--bind',
      workspace,
      '/workspace',
      '--chdir',
      '/workspace',
      '/bin/sh',
      '-c',
      shell,
    ];
    await runProgram(words[0] ?? '', words.slice(1), { cwd: '/', env: process.env, input });
  }

  /** Returns paths that the sandboxes' user can read. That user can't read a checkout in root's home folder. */
  async #reachable(): Promise<{ image: string; bwrap: string }> {
    const cached = path.resolve(import.meta.dirname, '../../.cache/bin/bwrap');
    const bwrap = process.env['COPPICE_BWRAP'] ?? (existsSync(cached) ? realpathSync(cached) : 'bwrap');
    return { image: await this.#withinReach(await this.#rootfs()), bwrap: await this.#withinReach(bwrap) };
  }

  /** Returns `source`, or the path of a copy if the sandboxes' user can't reach `source`. */
  async #withinReach(source: string): Promise<string> {
    if (process.getuid?.() !== 0 || !path.isAbsolute(source)) return source;
    const isReached = (file: string) =>
      runFile('setpriv', [...asSandboxUser, 'test', '-x', file], { cwd: '/' }).then(
        () => true,
        () => false,
      );
    if (await isReached(source)) return source;
    const copy = path.join(this.#settings.folder, path.basename(source));
    await runFile('cp', ['-a', source, copy]);
    if (await isReached(copy)) return copy;
    throw new Error(
      `user ${sandboxUid}, who runs the commands in sandboxes, can read neither ${source} nor ${copy}; set TMPDIR to a folder that every user can enter`,
    );
  }

  async #rootfs(): Promise<string> {
    const names = (await readdir(this.#settings.imagesFolder)).filter((name) => /^agent-runtime-[0-9a-f]+$/.test(name));
    const newest = names.at(-1);
    if (newest === undefined) throw new Error('there is no root file system yet');
    return path.join(this.#settings.imagesFolder, newest);
  }

  /** Runs the command through the daemon's API. */
  async #docker(workspace: string, shell: string, input: string): Promise<void> {
    // The workspace contains the input as a file. For standard input the API would need a hijacked connection,
    // which isn't faster.
    if (input !== '')
      await writeFile(path.join(workspace, '.input'), input).then(() =>
        chown(path.join(workspace, '.input'), sandboxUid, sandboxUid),
      );
    const command = input === '' ? shell : `( ${shell} ) < .input && rm .input`;
    const created = await this.#engine('POST', '/containers/create', {
      Image: 'coppice/agent-runtime',
      Cmd: ['/bin/sh', '-c', command],
      User: `${sandboxUid}:${sandboxUid}`,
      WorkingDir: '/workspace',
      NetworkDisabled: true,
      HostConfig: {
        Mounts: [{ Type: 'bind', Source: workspace, Target: '/workspace' }],
        NetworkMode: 'none',
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        ReadonlyRootfs: true,
        Tmpfs: { '/tmp': 'size=64m' },
        Memory: 2 * 1024 ** 3,
        PidsLimit: 512,
        LogConfig: { Type: 'none', Config: {} },
      },
    });
    const id = String((created as { Id?: unknown }).Id);
    await this.#engine('POST', `/containers/${id}/start`);
    const { StatusCode: status } = (await this.#engine('POST', `/containers/${id}/wait`)) as { StatusCode: number };
    await this.#engine('DELETE', `/containers/${id}?force=true`);
    if (status !== 0) throw new Error(`a command by hand ended with ${status}: ${command}`);
  }

  #engine(method: string, target: string, body?: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const options = {
        ...this.#settings.daemon,
        method,
        path: `/v1.41${target}`,
        headers: { 'content-type': 'application/json' },
      };
      const call = request(options, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
        response.on('end', () => {
          if ((response.statusCode ?? 500) >= 400)
            reject(new Error(`${method} ${target}: ${response.statusCode} ${text}`));
          else resolve(text === '' ? {} : JSON.parse(text));
        });
      });
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function runProgram(
  program: string,
  args: string[],
  options: { cwd: string; env: NodeJS.ProcessEnv; input: string },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: options.cwd, env: options.env, stdio: 'pipe' });
    const [out, errors]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out).toString('utf8').trim());
      else reject(new Error(`${program} ${args.join(' ')}: ${code} ${Buffer.concat(errors).toString('utf8')}`));
    });
    child.stdin.on('error', () => {
      // A program that doesn't read its input closes the pipe. The program's exit code is the result.
    });
    child.stdin.end(options.input);
  });
}
