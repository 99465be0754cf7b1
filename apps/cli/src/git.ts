/** Runs git in the user's repository. Except for the demo, only this module of the command line runs git. */
import { execFile } from 'node:child_process';
import { CliError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { plainText } from './output/text.ts';

const timeMsMax = 120_000;
const outputBytesMax = 16 * 1024 * 1024;

/** Variables with which git would use another repository than the folder's. Git sets them for hooks. */
const variablesOfARepository = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_COMMON_DIR',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_NAMESPACE',
  'GIT_PREFIX',
];

export type GitAnswer = { exitCode: number; out: string; err: string };

/** Resolves even if git fails. @throws CliError if git isn't installed or takes longer than `timeMsMax` */
export function tryGit(folder: string, ...gitArguments: string[]): Promise<GitAnswer> {
  const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' } as NodeJS.ProcessEnv;
  for (const name of variablesOfARepository) delete env[name];
  const options = { cwd: folder, env, timeout: timeMsMax, maxBuffer: outputBytesMax, encoding: 'utf8' } as const;
  return new Promise((resolve, reject) => {
    execFile('git', gitArguments, options, (error, out, err) => {
      const code = error?.code ?? 0;
      if (typeof code === 'number' && error?.killed !== true)
        return resolve({ exitCode: code, out: out.trimEnd(), err });
      const reason = code === 'ENOENT' ? 'it is not installed, or not in PATH' : (error?.message ?? 'it was ended');
      reject(new CliError(exitCodes.badInput, `git ${gitArguments[0]} can't be run: ${plainText(reason)}`));
    });
  });
}

/**
 * Returns the top folder of the working tree that contains the folder. For a bare repository, returns the repository's
 * folder. Returns null if the folder is in no repository.
 * @throws CliError if another user owns the repository
 */
export async function repositoryAt(folder: string): Promise<string | null> {
  const top = await tryGit(folder, 'rev-parse', '--show-toplevel');
  if (top.exitCode === 0) return top.out;
  if (/dubious ownership/.test(top.err)) {
    const text = `git refuses ${folder}, which belongs to another user ("dubious ownership"): work as its owner, or trust it: git config --global --add safe.directory PATH`;
    throw new CliError(exitCodes.badInput, text);
  }
  const bare = await tryGit(folder, 'rev-parse', '--is-bare-repository', '--absolute-git-dir');
  const [isBare, gitFolder] = bare.out.split('\n');
  return bare.exitCode === 0 && isBare === 'true' ? (gitFolder ?? null) : null;
}

/** Returns the checked-out branch, even if it has no commit yet; null if HEAD is detached. */
export async function currentBranch(repository: string): Promise<string | null> {
  const { exitCode, out } = await tryGit(repository, 'symbolic-ref', '--quiet', '--short', 'HEAD');
  return exitCode === 0 ? out : null;
}
