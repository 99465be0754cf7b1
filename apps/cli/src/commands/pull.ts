import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { CoppiceError, api, branchSchema, worktreeCalls } from '@coppice/contracts';
import type { RunView, TaskView } from '@coppice/contracts';
import type { ApiClient } from '../api-client.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { git, repositoryAt, tryGit } from '../git.ts';
import { resolveTask } from '../ids.ts';
import { jsonLine, plainLine, plainText } from '../output/text.ts';
import { withoutCommit } from '../no-commit.ts';
import { isEnd } from '../progress.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

export type PullOptions = { branch?: string; into?: string; json: boolean };

/** Where a task's work is: a ref of a git directory, and what a branch of it is called if nothing else is said. */
type Work = { store: string; ref: string; commit: string; branch: string; what: string };

/** `coppice pull ID`: a task's work as a branch of one's own repository. Only that branch is written, and never over other commits. */
export function pullCommand(session: Session, id: string, options: PullOptions): CommandResult {
  const { terminal } = session;
  return withClient(session, async (client) => {
    const { taskId, runId } = await resolveTask(client, id);
    const task = await client.bus.call(api.taskGet, client, { taskId });
    const run = await client.bus.call(api.runGet, client, { runId });
    const repository = await targetOf(run, options.into);
    const work = await workOf(client, run, task);
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

/** The repository to fetch into. Unless it is named, it must be the run's: another one would only get strange commits. */
async function targetOf(run: RunView, into: string | undefined): Promise<string> {
  const folder = path.resolve(into ?? '.');
  const repository = existsSync(folder) ? await repositoryAt(folder) : null;
  if (repository === null)
    throw new CliError(exitCodes.badInput, `${folder} lies in no git repository: name one with --into PATH`);
  if (into !== undefined || (await isRepositoryOf(run, repository))) return repository;
  const hint = `go there, or name the repository with --into PATH (for this one: --into ${repository})`;
  throw new CliError(
    exitCodes.badInput,
    `${repository} is not the run's repository, which is ${run.repository}: ${hint}`,
  );
}

/** The run's own repository, another worktree of it, or a clone that has it as a remote. */
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

/** What was kept of a task that isn't to land, else its branch, else what has landed, else the last checkpoint of its worktree. */
async function workOf(client: ApiClient, run: RunView, task: TaskView): Promise<Work> {
  const { taskId, branch, name } = task;
  if (task.rescue !== null && isEnd(task.state)) {
    const [store, ref] = splitRescue(task.rescue);
    if (ref === null)
      throw new CliError(
        exitCodes.badInput,
        `what ${name} did could not be made a commit; it is kept as the folder ${store}`,
      );
    const number = ref.split('/').at(-1) ?? '1';
    const [found] = await refsOf(store, [ref]);
    if (found !== undefined)
      return {
        store,
        ...found,
        branch: `coppice/${taskId}/rescue-${number}`,
        what: `what ${name} did, which has not landed`,
      };
  }
  const store = await storeOf(client, run);
  if (store === undefined)
    throw new CliError(exitCodes.stackUnavailable, 'the stack is older than this command: coppice down, coppice up');
  const own = branch ?? `coppice/${taskId}/${name}`;
  const candidates = [
    ...(task.commit === null || branch === null
      ? []
      : [{ ref: `refs/heads/${branch}`, branch: own, what: `the commit of ${name}` }]),
    { ref: `refs/coppice/merged/${taskId}`, branch: own, what: `the commit of ${name}, which has landed` },
    {
      ref: `refs/coppice/checkpoint/${taskId}`,
      branch: `coppice/${taskId}/checkpoint`,
      what: `what the agent of ${name} had done at its last checkpoint`,
    },
  ];
  const found = await refsOf(
    store,
    candidates.map(({ ref }) => ref),
  );
  for (const candidate of candidates) {
    const commit = found.find(({ ref }) => ref === candidate.ref)?.commit;
    if (commit !== undefined) return { store, commit, ...candidate };
  }
  throw withoutCommit(task);
}

/** The git directory of the tasks' branches. */
async function storeOf({ bus, tenant }: ApiClient, { repository, baseBranch }: RunView): Promise<string | undefined> {
  try {
    const question = { tenant, repository, baseBranch };
    return (await bus.call(worktreeCalls.inspect, { service: 'worktree-service' }, question)).store;
  } catch (error) {
    // The bus refuses the question; the service would name a field.
    if (!(error instanceof CoppiceError) || error.code !== 'permission-denied' || error.details !== undefined)
      throw error;
    const instead =
      'coppice diff tells the change, and with "merge: branch" the task pushes its branch to the repository';
    throw new CliError(
      exitCodes.badInput,
      `a tenant's user can't reach the folder where the stack keeps branches; ${instead}`,
    );
  }
}

/** `<git directory> <ref>`, or a folder. */
function splitRescue(rescue: string): [string, string | null] {
  const at = rescue.lastIndexOf(' refs/');
  return at === -1 ? [rescue, null] : [rescue.slice(0, at), rescue.slice(at + 1)];
}

async function refsOf(store: string, refs: readonly string[]): Promise<{ ref: string; commit: string }[]> {
  if (!existsSync(store)) {
    throw new CliError(
      exitCodes.badInput,
      `${store} can't be reached from here: where the stack runs on another machine, or as another user, fetch it there`,
    );
  }
  const listed = await git(store, 'for-each-ref', '--format=%(objectname) %(refname)', ...refs);
  return listed
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({ commit: line.slice(0, line.indexOf(' ')), ref: line.slice(line.indexOf(' ') + 1) }));
}

/** Gives false where the branch was there already, just so. */
async function fetchInto(repository: string, { store, ref, commit }: Work, branch: string): Promise<boolean> {
  const target = `refs/heads/${branch}`;
  const before = await tryGit(repository, 'rev-parse', '--verify', '--quiet', `${target}^{commit}`);
  if (before.exitCode === 0 && before.out === commit) return false;
  // Without a plus sign: git moves a branch only forwards, and never one that is checked out.
  const quietly = [
    '--no-progress',
    '--no-tags',
    '--no-write-fetch-head',
    '--no-auto-maintenance',
    '--no-recurse-submodules',
  ];
  const { exitCode, err } = await tryGit(repository, 'fetch', ...quietly, '--', store, `${ref}:${target}`);
  if (exitCode === 0) return true;
  const why = /non-fast-forward/.test(err)
    ? `the branch ${branch} is there with other commits: choose another name with --branch`
    : /checked out/.test(err)
      ? `the branch ${branch} is checked out: choose another name with --branch`
      : plainText(err).trim();
  throw new CliError(exitCodes.badInput, `nothing was changed in ${repository}: ${why}`);
}
