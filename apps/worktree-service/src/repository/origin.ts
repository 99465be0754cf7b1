/** The user's own repository: its kind and location, and the state of its branches. All functions are read-only. */
import { existsSync, lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { CoppiceError, nearestFirst } from '@coppice/contracts';
import { gitLimits, operand, type Account, type Git, type GitOptions } from '../git/git.ts';
import { readRefs } from '../git/refs.ts';
import { sharedGitDirOf } from './git-folder.ts';
import { landedRefs } from './landed-refs.ts';
import { parseAddress, redactText, repositoryIdOf } from './address.ts';
import type { TenantRepositories } from './allowed-repositories.ts';

export type LocalOrigin = {
  kind: 'local';
  repositoryId: string;
  /** Canonical address, which is the same for all addresses of the repository. */
  address: string;
  /** Git directory shared by all worktrees of the repository. */
  gitDir: string;
  objectFormat: string;
  /** Account that the user's git runs under. Null if the stack doesn't run as root, or root owns the repository. */
  account: Account | null;
};
export type RemoteOrigin = { kind: 'remote'; repositoryId: string; address: string };
export type Origin = LocalOrigin | RemoteOrigin;

/**
 * State of a target branch. `tip` is the commit that the next landing builds on. If a landing is pending, `tip` is its
 * commit and `pendingRef` is its ref.
 */
export type BranchState = { tip: string; branchTip: string; pendingRef: string | null };

const nearBranchesMax = 5;
const reflogEntriesMax = 1_000;
const objectId = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

/** Checks that a value is a full object id, as git prints it. */
export function commitId(value: string, field: string): string {
  if (objectId.test(value)) return value;
  throw new CoppiceError(
    'invalid-request',
    `${field}: expected a whole commit id, got ${JSON.stringify(value.slice(0, 100))}`,
  );
}

export const inOrigin = (origin: LocalOrigin): GitOptions => ({
  gitDir: origin.gitDir,
  as: 'user',
  account: origin.account,
});

type Rules = { refusedFolder: string; allowed: TenantRepositories };

/**
 * Resolves an address. Throws `repository-not-found`, or `permission-denied` if the tenant may not use the repository.
 * Folders inside `refusedFolder` are rejected, since agents write there.
 */
export async function findOrigin(git: Git, address: string, rules: Rules): Promise<Origin> {
  const parsed = parseAddress(address);
  rules.allowed.requireName(parsed, address);
  if (parsed.kind === 'remote')
    return { kind: 'remote', repositoryId: repositoryIdOf(parsed.url), address: parsed.url };
  const folder = existingFolder(parsed.path);
  try {
    return await findLocal(git, { address, path: parsed.path, folder }, rules);
  } catch (error) {
    // Each step accesses the folder again, and the folder's owner may remove it between two steps.
    const isGone = isAbsent(error) || !existsSync(folder);
    throw isGone ? notFound(parsed.path, 'it was removed while it was looked at') : error;
  }
}

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

async function findLocal(
  git: Git,
  { address, path, folder }: { address: string; path: string; folder: string },
  { refusedFolder, allowed }: Rules,
): Promise<LocalOrigin> {
  allowed.requireFolder(folder, address);
  refuseOwnData(folder, refusedFolder);
  refuseLeadingOut(folder, address, allowed);
  const account = accountOf(folder);
  const { exitCode, stdout, stderr } = await git.run(
    [
      'rev-parse',
      '--path-format=absolute',
      '--git-common-dir',
      '--show-object-format',
      '--is-bare-repository',
      '--is-inside-git-dir',
      '--show-prefix',
    ],
    { cwd: folder, as: 'user', account, answers: [128] },
  );
  const [commonDir = '', objectFormat = '', bare = '', insideGitDir = '', prefix = ''] = stdout
    .toString('utf8')
    .split('\n');
  if (exitCode !== 0) {
    // The configuration may include another tenant's file, and git's message could reveal its content.
    const said = allowed.areLimited ? '' : ` (git says: ${firstLine(stderr)})`;
    throw notFound(path, `it is not a git repository, or git may not read it${said}`);
  }
  if (prefix !== '') {
    const root = `${folder}/`.slice(0, -prefix.length - 1);
    allowed.requireFolder(root, address);
    throw notFound(path, `it is a folder inside a repository; name the repository's own folder, ${root}`);
  }
  const gitDir = realpathSync(commonDir);
  allowed.requireGitDir(gitDir, address);
  if ((bare === 'true' || insideGitDir === 'true') && gitDir !== folder) {
    throw notFound(path, `it is a folder inside the git directory ${gitDir}`);
  }
  refuseOwnData(gitDir, refusedFolder);
  await refusePartialClone(git, path, gitDir);
  const hasOwnName = basename(gitDir) !== '.git';
  return {
    kind: 'local',
    repositoryId: repositoryIdOf(gitDir),
    // If the git directory isn't named `.git` (`--separate-git-dir`), git can't report its working tree.
    address: hasOwnName ? (bare === 'true' ? gitDir : folder) : dirname(gitDir),
    gitDir,
    objectFormat,
    account: accountOf(gitDir),
  };
}

/** Checks the git directory before git reads anything in it. */
function refuseLeadingOut(folder: string, address: string, allowed: TenantRepositories): void {
  let gitDir: string;
  try {
    gitDir = sharedGitDirOf(folder);
    lstatSync(join(gitDir, 'HEAD'));
  } catch {
    // Git will report that this isn't a repository.
    return;
  }
  allowed.requireGitDir(gitDir, address);
}

function existingFolder(path: string): string {
  try {
    const folder = realpathSync(path);
    if (statSync(folder).isDirectory()) return folder;
  } catch {
    throw notFound(path, 'there is no such folder');
  }
  throw notFound(path, 'it is not a folder');
}

/**
 * Rejects partial clones. Their missing objects can't be copied, and git would fetch them with commands from the
 * clone's configuration. Git itself reads the configuration, since it may include other files. If the file is a pipe or
 * device, only the git process blocks, up to its time limit.
 */
async function refusePartialClone(git: Git, path: string, gitDir: string): Promise<void> {
  const pattern = String.raw`^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$`;
  const partial = await git.test(['config', '--includes', '--get-regexp', pattern], {
    gitDir,
    as: 'user',
    account: accountOf(gitDir),
  });
  if (partial) {
    throw notFound(path, 'it is a partial clone, which lacks objects; name the repository that it was cloned from');
  }
}

/** First line of git's message, safe to be shown. */
const firstLine = (stderr: string): string =>
  redactText(stderr)
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '')
    ?.slice(0, 300) ?? 'nothing';

function refuseOwnData(path: string, own: string): void {
  if (path === own || path.startsWith(own + sep)) throw notFound(path, "it lies in Coppice's own data folder");
}

function notFound(path: string, reason: string): CoppiceError {
  return new CoppiceError('repository-not-found', `repository: ${path} can't be used: ${reason}`, {
    details: { issues: [{ field: 'repository', expected: 'a git repository', received: path }] },
  });
}

/** Returns the account of a folder's owner. Null if the stack doesn't run as root, or root owns the folder. */
function accountOf(folder: string): Account | null {
  const { uid, gid } = statSync(folder);
  if (process.getuid?.() !== 0 || uid === 0) return null;
  const entry = passwordEntries().find((fields) => Number(fields[2]) === uid);
  return { uid, gid: Number(entry?.[3] ?? gid), home: entry?.[5] ?? '/nonexistent', name: entry?.[0] ?? String(uid) };
}

function passwordEntries(): string[][] {
  try {
    return readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}

/** Checks a branch name by git's own rules. */
export async function checkBranchName(git: Git, branch: string, field: string): Promise<void> {
  const ref = `refs/heads/${branch}`;
  const valid = !branch.startsWith('-') && (await git.holds(`branch name ${branch}`, ['check-ref-format', ref]));
  if (!valid)
    throw new CoppiceError(
      'invalid-request',
      `${field}: expected a branch name, got ${JSON.stringify(branch.slice(0, 200))}`,
    );
}

/**
 * Reads the state of a branch. Throws `branch-not-found` with a list of similar branches. `field` is the request field
 * that names the branch.
 */
export async function branchState(
  git: Git,
  origin: Origin,
  branch: string,
  field: string,
  signal?: AbortSignal,
): Promise<BranchState> {
  operand(branch);
  if (origin.kind === 'remote') {
    const refs = await remoteBranches(git, origin, [`refs/heads/${branch}`], signal);
    const tip = refs.get(branch);
    if (tip === undefined) {
      const names = [...(await remoteBranches(git, origin, [], signal)).keys()];
      throw branchNotFound(branch, field, names, names.length === 0);
    }
    return { tip, branchTip: tip, pendingRef: null };
  }
  const refs = await localRefs(git, origin, [`refs/heads/${branch}`, ...landedRefs(branch)], signal);
  return localState(git, origin, { branch, field, refs, signal });
}

/** Like `branchState`, for a local repository. `refs` contains the branch's ref and the refs of pending landings. */
export async function localState(
  git: Git,
  origin: LocalOrigin,
  parts: { branch: string; field: string; refs: Map<string, string>; signal: AbortSignal | undefined },
): Promise<BranchState> {
  const { branch, field, refs, signal } = parts;
  const branchTip = refs.get(`refs/heads/${branch}`);
  if (branchTip === undefined) {
    const all = [...(await localRefs(git, origin, ['refs/heads/'], signal)).keys()];
    const names = all.map((ref) => ref.slice('refs/heads/'.length));
    // Even if there is no branch, a detached HEAD may have commits.
    const options = { ...inOrigin(origin), signal };
    const empty = names.length === 0 && !(await git.test(['rev-parse', '--quiet', '--verify', 'HEAD'], options));
    throw branchNotFound(branch, field, names, empty);
  }
  const pendingRef = landedRefs(branch).find((ref) => refs.has(ref)) ?? null;
  const landed = pendingRef === null ? undefined : refs.get(pendingRef);
  if (landed === undefined || landed === branchTip) return { tip: branchTip, branchTip, pendingRef: null };
  const chains = await git.test(['merge-base', '--is-ancestor', branchTip, landed], { ...inOrigin(origin), signal });
  const isPending = chains && !(await hadCommit(git, origin, { branch, commit: landed, signal }));
  return isPending ? { tip: landed, branchTip, pendingRef } : { tip: branchTip, branchTip, pendingRef: null };
}

/**
 * Reports whether the branch had the commit at some time in its reflog. If the user finished a landing and then reset
 * the branch, the landing isn't pending again.
 */
async function hadCommit(
  git: Git,
  origin: LocalOrigin,
  { branch, commit, signal }: { branch: string; commit: string; signal: AbortSignal | undefined },
): Promise<boolean> {
  const options = { ...inOrigin(origin), signal };
  const limit = `--max-count=${reflogEntriesMax}`;
  const past = await git.text(['rev-list', '--walk-reflogs', limit, `refs/heads/${branch}`, '--'], options);
  if (past === '') return false;
  const input = [commit, ...past.split('\n').map((tip) => `^${tip}`), ''].join('\n');
  return (await git.text(['rev-list', '--max-count=1', '--ignore-missing', '--stdin'], { ...options, input })) === '';
}

export const localRefs = (
  git: Git,
  origin: LocalOrigin,
  patterns: string[],
  signal?: AbortSignal,
): Promise<Map<string, string>> => readRefs(git, { ...inOrigin(origin), signal }, patterns);

/**
 * Reports whether git's message says that the remote denies access, doesn't have the repository, or redirects to
 * another address while redirects aren't allowed. Ssh mentions "access rights" in any failure, so these words aren't
 * matched.
 */
const isDenied = (said: string): boolean =>
  /not found|does not (exist|appear to be)|authentication failed|could not read (username|password)|permission denied|returned error: (30\d|40[134])/i.test(
    said,
  );

/**
 * Reads the given branches, or all if none are given. Returns the commit by branch name. Throws `repository-not-found`
 * if the user can't access the repository, and `git-failed` for other failures of the remote.
 */
export async function remoteBranches(
  git: Git,
  origin: RemoteOrigin,
  refs: string[],
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const output = await git
    .text(['ls-remote', '--heads', '--', origin.address, ...refs], {
      as: 'user',
      timeLimitMs: gitLimits.timeMsDefault,
      signal,
    })
    .catch((error: unknown) => {
      if (!(error instanceof CoppiceError) || error.code !== 'git-failed') throw error;
      const address = redactText(origin.address);
      // Any other error may be a temporary network problem.
      const code = isDenied(error.message) ? 'repository-not-found' : 'git-failed';
      throw new CoppiceError(code, `repository: ${address} can't be read: ${error.message}`, {
        cause: error,
        details: { issues: [{ field: 'repository', expected: 'a repository that git can read', received: address }] },
      });
    });
  const branches = new Map<string, string>();
  for (const line of output.split('\n')) {
    const [id, ref] = line.split('\t');
    if (id !== undefined && ref?.startsWith('refs/heads/')) branches.set(ref.slice('refs/heads/'.length), id);
  }
  // A pattern of ls-remote also matches longer names that end with it.
  if (refs.length > 0)
    for (const name of branches.keys()) if (!refs.includes(`refs/heads/${name}`)) branches.delete(name);
  return branches;
}

function branchNotFound(branch: string, field: string, branches: string[], empty: boolean): CoppiceError {
  // Branch names are short, so their edit distances are cheap.
  const near = nearestFirst(branch, branches).slice(0, nearBranchesMax);
  const known =
    near.length === 0
      ? empty
        ? 'the repository has no commits yet'
        : 'the repository has no branches'
      : `it has ${near.join(', ')}${branches.length > near.length ? ' …' : ''}`;
  return new CoppiceError(
    'branch-not-found',
    `${field}: no branch ${JSON.stringify(branch)} in the repository; ${known}`,
    {
      details: {
        issues: [{ field, expected: near.length === 0 ? 'a branch' : `one of ${near.join(', ')}`, received: branch }],
        branches: near,
      },
    },
  );
}
