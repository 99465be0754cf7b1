import { existsSync, realpathSync } from 'node:fs';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CoppiceError, api, branchSchema, isTaskEnd } from '@coppice/contracts';
import type { RunView, TaskView, WorkKind } from '@coppice/contracts';
import type { ApiClient } from '../api-client.ts';
import { ask } from '../ask.ts';
import { readArtifact } from '../artifacts.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { repositoryAt, tryGit } from '../git.ts';
import { resolveTask } from '../ids.ts';
import { jsonLine, plainLine, plainText } from '../output/text.ts';
import { withoutCommit } from '../no-commit.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

export type PullOptions = { branch?: string; into?: string; json: boolean };

/** A task's work. `file`: a git bundle with one ref. `branch`: the default name of the new branch. */
type Work = { file: string; ref: string; commit: string; branch: string; what: string };

/**
 * `coppice pull ID`: fetches a task's work into a branch of the user's repository. Writes only this branch, and only if
 * no commit is lost.
 */
export function pullCommand(session: Session, id: string, options: PullOptions): CommandResult {
  const { terminal } = session;
  return withClient(session, async (client) => {
    const { taskId, runId } = await resolveTask(client, id);
    const task = await ask(client, api.taskGet, { taskId });
    const run = await ask(client, api.runGet, { runId });
    const repository = await targetOf(run, options.into);
    await using folder = await mkdtempDisposable(path.join(tmpdir(), 'coppice-pull-'));
    const work = await workOf(client, task, repository, folder.path);
    const branch = branchName(options.branch ?? work.branch);
    const made = await fetchInto(repository, work, branch);
    if (options.json)
      terminal.out(jsonLine({ repository, ref: `refs/heads/${branch}`, commit: work.commit, made, what: work.what }));
    else
      terminal.out(
        plainLine(`refs/heads/${branch} ${made ? 'is' : 'is already'} ${work.commit.slice(0, 10)}: ${work.what}`),
      );
    return exitCodes.done;
  });
}

function branchName(text: string): string {
  const parsed = branchSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new CliError(exitCodes.badInput, `--branch: expected a branch name, received ${plainLine(text)}`);
}

/**
 * Returns the repository to fetch into. `--into` can name any repository. Without `--into`, this is the current
 * folder's repository, or the run's own if the folder is in none. Throws if the current folder's repository is
 * unrelated to the run's.
 */
async function targetOf(run: RunView, into: string | undefined): Promise<string> {
  const folder = path.resolve(into ?? '.');
  const repository = existsSync(folder) ? await repositoryAt(folder) : null;
  if (repository === null) {
    if (into === undefined && existsSync(run.repository)) return run.repository;
    throw new CliError(exitCodes.badInput, `${folder} is not in a git repository: name one with --into PATH`);
  }
  if (into !== undefined || (await isRepositoryOf(run, repository))) return repository;
  const hint = `go there, or name the repository with --into PATH (for this one: --into ${repository})`;
  throw new CliError(
    exitCodes.badInput,
    `${repository} is not the run's repository, which is ${run.repository}: ${hint}`,
  );
}

/** Returns true for the run's own repository, for its other worktrees, and for a clone that has it as a remote. */
async function isRepositoryOf(run: RunView, repository: string): Promise<boolean> {
  if (existsSync(run.repository)) {
    const [ours, theirs] = await Promise.all([commonFolder(repository), commonFolder(run.repository)]);
    if (ours !== null && ours === theirs) return true;
  }
  const { out } = await tryGit(repository, 'remote', '--verbose');
  const addresses = out.split('\n').map((line) => line.split('\t')[1]?.replace(/ \((fetch|push)\)$/, ''));
  return addresses.some((address) => address !== undefined && plainAddress(address) === plainAddress(run.repository));
}

const plainAddress = (address: string): string => address.replace(/^file:\/\//, '').replace(/(\.git)?\/*$/, '');

async function commonFolder(repository: string): Promise<string | null> {
  const { exitCode, out } = await tryGit(repository, 'rev-parse', '--path-format=absolute', '--git-common-dir');
  return exitCode === 0 ? realpathSync(out) : null;
}

/** Downloads the task's work into a bundle file in the folder. */
async function workOf(client: ApiClient, task: TaskView, repository: string, folder: string): Promise<Work> {
  const { taskId, name, rescue } = task;
  // `rescue` is `<git directory> <ref>`, or a folder if the work could not be committed.
  if (rescue !== null && isTaskEnd(task.state) && !rescue.includes(' refs/'))
    throw new CliError(
      exitCodes.badInput,
      `the work of ${name} could not be committed; it is kept in the folder ${rescue}`,
    );
  const found = await bundleOf(client, task, repository);
  const bytes = await readArtifact(client, found.bundle);
  if (bytes === null)
    throw new CliError(
      exitCodes.badInput,
      `the stack no longer has the bundle that it made of ${name}: try again, and it makes another`,
    );
  const file = path.join(folder, 'work.bundle');
  await writeFile(file, bytes);
  const own = task.branch ?? `coppice/${taskId}/${name}`;
  const descriptions: Record<WorkKind, { branch: string; what: string }> = {
    rescued: {
      branch: `coppice/${taskId}/rescue-${found.ref.split('/').at(-1)}`,
      what: `the work of ${name}, which has not landed`,
    },
    branch: { branch: own, what: `the commit of ${name}` },
    landed: { branch: own, what: `the commit of ${name}, which has landed` },
    checkpoint: {
      branch: `coppice/${taskId}/checkpoint`,
      what: `the work of ${name} up to the agent's last checkpoint`,
    },
  };
  return { file, ref: found.ref, commit: found.commit, ...descriptions[found.work] };
}

async function bundleOf(client: ApiClient, task: TaskView, repository: string) {
  const { taskId } = task;
  try {
    const found = await ask(client, api.taskBundle, { taskId });
    if (await hasCommit(repository, found.baseCommit)) return found;
    return await ask(client, api.taskBundle, { taskId, whole: true });
  } catch (error) {
    if (error instanceof CoppiceError && error.code === 'not-found') throw withoutCommit(task);
    throw error;
  }
}

const hasCommit = async (repository: string, commit: string): Promise<boolean> =>
  (await tryGit(repository, 'cat-file', '-e', `${commit}^{commit}`)).exitCode === 0;

/** Returns false if the branch already exists at this commit. */
async function fetchInto(repository: string, { file, ref, commit }: Work, branch: string): Promise<boolean> {
  const target = `refs/heads/${branch}`;
  const before = await tryGit(repository, 'rev-parse', '--verify', '--quiet', `${target}^{commit}`);
  if (before.exitCode === 0 && before.out === commit) return false;
  // The refspec has no plus sign, so git only fast-forwards an existing branch. Git also refuses to move a checked-out
  // branch.
  const quietly = [
    '--no-progress',
    '--no-tags',
    '--no-write-fetch-head',
    '--no-auto-maintenance',
    '--no-recurse-submodules',
  ];
  const { exitCode, err } = await tryGit(repository, 'fetch', ...quietly, '--', file, `${ref}:${target}`);
  if (exitCode === 0) return true;
  const why = /non-fast-forward/.test(err)
    ? `the branch ${branch} is there with other commits: choose another name with --branch`
    : /checked out/.test(err)
      ? `the branch ${branch} is checked out: choose another name with --branch`
      : plainText(err).trim();
  throw new CliError(exitCodes.badInput, `nothing was changed in ${repository}: ${why}`);
}
