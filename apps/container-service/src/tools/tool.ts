import type { ExecOptions, ExecResult } from '../engine/port.ts';

/** The task's sandbox as tools see it. `exec` runs an argument vector and throws on cancellation. */
export type Sandbox = {
  resultCharactersMax: number;
  exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
};

/**
 * The answer to the model. `isError` is true if the call failed. `tooLarge` is true if the call was rejected for its
 * size, so that later calls of the turn are skipped.
 */
export type Answer = { content: string; isError: boolean; tooLarge?: true };

export const answer = (content: string): Answer => ({ content, isError: false });
export const problem = (content: string): Answer => ({ content, isError: true });
/** Returns the answer to a call that is rejected for its size. `content` names the limit. */
export const tooLarge = (content: string): Answer => ({ content, isError: true, tooLarge: true });

const fileToolMsMax = 60_000;

/**
 * Options of file tools. TMPDIR is set so that temporary files are never in the workspace, whatever the task's
 * environment contains.
 */
export const fileToolOptions = { timeoutMs: fileToolMsMax, env: { TMPDIR: '/tmp' } } as const;

/**
 * Returns the command that runs a POSIX script with arguments. The image needs only sh, coreutils, find, grep and sed.
 */
export const script = (text: string, ...words: string[]): string[] => ['/bin/sh', '-c', text, 'sh', ...words];

/** Prefixes a path with `./`, so that no program parses it as an option. */
export const plain = (path: string): string => (path === '.' ? '.' : `./${path}`);

/**
 * Beginning of a script. It ends the script with an error if `$1` isn't a readable text file. If the file is missing,
 * the error lists files with the same name in other folders.
 */
export const requireFile = `
f=$1
fail() { printf '%s\\n' "$1" >&2; exit 1; }
if [ -d "$f" ]; then fail 'it is a folder'; fi
if [ ! -e "$f" ]; then
  near=$(find . -name .git -prune -o -name node_modules -prune -o -type f -name "$(basename -- "$f")" -print | head -n 5 | sed 's,^\\./,,')
  if [ -n "$near" ]; then fail "there is no such file; there is $near"; else fail 'there is no such file'; fi
fi
[ -f "$f" ] || fail 'it is not a regular file'
[ -r "$f" ] || fail 'it may not be read'
start=$(head -c 8192 -- "$f" | wc -c)
text=$(head -c 8192 -- "$f" | tr -d '\\000' | wc -c)
[ "$start" -eq "$text" ] || fail 'it is a binary file'
`;

/** Returns the reason for a script's failure, or null if it succeeded. */
export function failureOf(result: ExecResult): string | null {
  if (result.timedOut) return `it took longer than ${fileToolMsMax / 1_000} s`;
  if (result.diskExceeded) return 'the disk limit is reached';
  if (result.oomKilled) return 'it used more memory than the sandbox has';
  if (result.exitCode === 0) return null;
  const said = result.stderr.text.trim();
  return said === '' ? `its command ended with exit code ${result.exitCode}` : said;
}
