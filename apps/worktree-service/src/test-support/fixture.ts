/** Helpers for the tests of this service: a data folder, a user's repository, and the first steps of a task. */
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { CommitMessage } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import { isolatedGitEnvironment, temporaryFolder, temporaryRepository } from '@coppice/testing';
import type { RepositorySettings, TemporaryRepository } from '@coppice/testing';
import type { Context } from '../context.ts';
import { commit } from '../import/import.ts';
import type { ImportLimits } from '../import/limits.ts';
import { openContext } from '../open.ts';
import { prepare, type Prepared } from '../worktree/prepare.ts';
import { httpRemote } from './http-remote.ts';

const run = promisify(execFile);

export const taskId = 'task1';
export const runId = 'run1';
export const date = '2026-02-03T04:05:06Z';

export const message = (description = 'do it'): CommitMessage => ({
  type: 'feat',
  scope: 'core',
  description,
  body: null,
  coAuthor: null,
  date,
});

export type Fixture = AsyncDisposable & {
  context: Context;
  repository: TemporaryRepository;
  dataFolder: string;
  /** Repository as operations name it: its path or a URL. */
  address: string;
  prepared(task?: string): Promise<Prepared & { tree: string }>;
  committed(task?: string, effectId?: string, protect?: string[]): ReturnType<typeof commit>;
  /** Runs git in tasks.git, for assertions. */
  tasks(...args: string[]): Promise<string>;
};

export async function fixture(
  settings: RepositorySettings & {
    importLimits?: Partial<ImportLimits>;
    remote?: boolean;
    derive?: (source: string, folder: string) => Promise<string>;
    clock?: Clock;
  } = {},
): Promise<Fixture> {
  const folder = await temporaryFolder('worktrees');
  // The sandbox's user must be able to enter the folder.
  chmodSync(folder.path, 0o711);
  const repository = await temporaryRepository(settings.remote === true ? { ...settings, bare: true } : settings);
  const derived = await settings.derive?.(repository.path, folder.path);
  const server = settings.remote === true ? await httpRemote(repository.path) : undefined;
  const address = derived ?? server?.url ?? repository.path;
  const context = await openContext({
    dataFolder: join(folder.path, 'data'),
    node: 'node1',
    importLimits: settings.importLimits ?? {},
    ...(settings.clock === undefined ? {} : { clock: settings.clock }),
  });
  let tasksGit = '';
  return {
    context,
    repository,
    dataFolder: context.layout.root,
    address,
    async prepared(task = taskId) {
      const made = await prepare(context, {
        taskId: task,
        effectId: `${task}_prepare`,
        repository: address,
        baseBranch: repository.branch,
        slug: 'slug',
        setupKey: null,
      });
      tasksGit = (made.mounts[3]?.source ?? '').replace(/origin\.git$/, 'tasks.git');
      return { ...made, tree: made.mounts[0]?.source ?? '' };
    },
    committed: (task = taskId, effectId = `commit_${task}`, protect = []) =>
      commit(context, { taskId: task, runId, effectId, message: message(), protect }),
    async tasks(...args) {
      const { stdout } = await run('git', ['--git-dir', tasksGit, ...args], {
        env: isolatedGitEnvironment(folder.path),
      });
      return stdout.replace(/\n$/, '');
    },
    async [Symbol.asyncDispose]() {
      await context.trash.settle();
      await server?.[Symbol.asyncDispose]();
      await repository.remove();
      await folder.remove();
    },
  };
}

/** Writes a file in a worktree as the sandbox's user would. */
export function write(tree: string, path: string, content: string | Buffer): void {
  const file = join(tree, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  const { uid, gid } = lstatSync(tree);
  if (process.getuid?.() === 0) chownSync(file, uid, gid);
}

/**
 * Git configuration with which plain git accepts a worktree of another user. Tests run plain git to show what a planted
 * file does.
 */
const configuration = join(import.meta.dirname, 'gitconfig');

export async function shell(script: string, cwd: string, environment: Record<string, string> = {}): Promise<string> {
  const env = { ...isolatedGitEnvironment(cwd), GIT_CONFIG_GLOBAL: configuration, ...environment };
  const { stdout, stderr } = await run('sh', ['-c', `exec </dev/null\n${script}`], { cwd, env });
  return stdout + stderr;
}
