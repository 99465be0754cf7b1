import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './temporary-folder.ts';

/** Text of a file. The object form can make the file executable. */
export type FileContent = string | { text: string; executable: boolean };

export type TemporaryRepository = AsyncDisposable & {
  /** Path of the working tree or, for a bare repository, of the git directory. */
  path: string;
  branch: string;
  /**
   * Runs git in the repository. Git ignores the user's and the system's configuration. Returns stdout without the last
   * line break.
   */
  git(...argumentsOfGit: string[]): Promise<string>;
  /**
   * Writes the files and commits all changes on the branch. For a bare repository, makes the commit in a clone and
   * pushes it. Returns the commit's id.
   */
  commit(message: string, files: Record<string, FileContent>): Promise<string>;
  /** Returns the id of a ref's commit. Default: the branch's. */
  head(ref?: string): Promise<string>;
  /**
   * Returns a file's content in a commit. Default: the branch's last commit. Returns null if the commit doesn't contain
   * the file.
   */
  show(file: string, ref?: string): Promise<string | null>;
  remove: () => Promise<void>;
};

export type RepositorySettings = { files?: Record<string, FileContent>; branch?: string; bare?: boolean };

const runFile = promisify(execFile);
const outputBytesMax = 64 * 1024 * 1024;

/**
 * Returns environment variables with which git ignores the user's and the system's configuration. Also sets fixed
 * authors and times, so that the same content has the same commit id.
 */
export function isolatedGitEnvironment(home: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'));
  return {
    ...Object.fromEntries(inherited),
    HOME: home,
    XDG_CONFIG_HOME: path.join(home, '.config'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Test Author',
    GIT_AUTHOR_EMAIL: 'author@example.invalid',
    GIT_AUTHOR_DATE: '2026-01-01T00:00:00Z',
    GIT_COMMITTER_NAME: 'Test Committer',
    GIT_COMMITTER_EMAIL: 'committer@example.invalid',
    GIT_COMMITTER_DATE: '2026-01-01T00:00:00Z',
    LC_ALL: 'C',
  };
}

/** Creates a git repository with one commit, which contains `files`. */
export async function temporaryRepository(settings: RepositorySettings = {}): Promise<TemporaryRepository> {
  const { files = { 'README.md': '# A repository\n' }, branch = 'main', bare = false } = settings;
  const folder = await temporaryFolder('repository');
  const work = path.join(folder.path, 'work');
  const origin = path.join(folder.path, 'origin.git');
  const location = bare ? origin : work;
  const env = isolatedGitEnvironment(folder.path);
  const gitIn = async (cwd: string, argumentsOfGit: string[]) => {
    const { stdout } = await runFile('git', argumentsOfGit, { cwd, env, maxBuffer: outputBytesMax });
    return stdout.replace(/\n$/, '');
  };
  const git = (...argumentsOfGit: string[]) => gitIn(location, argumentsOfGit);

  const commit = async (message: string, changed: Record<string, FileContent>) => {
    if (bare && (await gitIn(work, ['ls-remote', 'origin', `refs/heads/${branch}`])) !== '') {
      await gitIn(work, ['fetch', '--quiet', 'origin', branch]);
      await gitIn(work, ['reset', '--quiet', '--hard', 'FETCH_HEAD']);
    }
    await writeFiles(work, changed);
    await gitIn(work, ['add', '--all']);
    await gitIn(work, ['commit', '--quiet', '--allow-empty', '--message', message]);
    if (bare) await gitIn(work, ['push', '--quiet', 'origin', `HEAD:refs/heads/${branch}`]);
    return gitIn(work, ['rev-parse', 'HEAD']);
  };

  await mkdir(work);
  await gitIn(work, ['init', '--quiet', `--initial-branch=${branch}`]);
  if (bare) {
    await gitIn(folder.path, ['init', '--quiet', '--bare', `--initial-branch=${branch}`, origin]);
    await gitIn(work, ['remote', 'add', 'origin', origin]);
  }
  await commit('chore: first commit', files);
  return {
    path: location,
    branch,
    git,
    commit,
    head: (ref = branch) => git('rev-parse', '--verify', `${ref}^{commit}`),
    show: async (file, ref = branch) => {
      const listed = await git('ls-tree', '--name-only', ref, '--', file);
      return listed === ''
        ? null
        : (await runFile('git', ['show', `${ref}:${file}`], { cwd: location, env, maxBuffer: outputBytesMax })).stdout;
    },
    remove: folder.remove,
    [Symbol.asyncDispose]: folder.remove,
  };
}

async function writeFiles(root: string, files: Record<string, FileContent>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, typeof content === 'string' ? content : content.text);
    if (typeof content !== 'string' && content.executable) await chmod(file, 0o755);
  }
}
