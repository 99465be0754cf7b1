/** Tools that list folders and search files. They skip the contents of `.git` and `node_modules`. */
import { toolLimits, type sandboxToolSchemas } from '@coppice/contracts';
import type { z } from 'zod';
import { answer, failureOf, fileToolOptions, plain, problem, script } from './tool.ts';
import type { Answer, Sandbox } from './tool.ts';

type Input<Name extends keyof typeof sandboxToolSchemas> = z.output<(typeof sandboxToolSchemas)[Name]>;

const keepBytes = 512 * 1024;
/** Maximum number of matches that are counted and sorted. */
const matchesMax = 2_000;
const lineBytesMax = 300;
/** Characters reserved for the line that reports how much is left out. */
const reservedCharacters = 200;

const requireThere = `
[ -e "$1" ] || { echo 'there is no such file or folder' >&2; exit 1; }
t=$(mktemp) || exit 1
trap 'rm -f "$t"' EXIT
`;

/** Script that prints the number of entries, then the entries. Folders end with a slash. */
const listScript = `${requireThere}
find -H "$1" -mindepth 1 -maxdepth "$2" -name .git -prune -o -type d -name node_modules -exec printf '%s/\\n' {} + -prune \\
  -o -type d -exec printf '%s/\\n' {} + -o -print 2>/dev/null | LC_ALL=C sort > "$t"
wc -l < "$t"
head -n "$3" "$t"
`;

export async function list(sandbox: Sandbox, { path, depth }: Input<'list'>): Promise<Answer> {
  const argv = script(listScript, plain(path), String(depth), String(toolLimits.listEntriesMax));
  const result = await sandbox.exec(argv, { ...fileToolOptions, keepBytes });
  const failure = failureOf(result);
  if (failure !== null) return problem(`${path} can't be listed: ${failure}`);
  const { count, lines } = readCounted(result.stdout.text);
  if (count === 0) return answer(`${path} holds no files or folders`);
  return answer(within(sandbox, lines, count, 'entries; list a folder of it, or less deep'));
}

/**
 * Script that prints the number of matches, at most `matchesMax`, then the lines. It first tests the pattern on empty
 * input.
 */
const searchScript = `${requireThere}
printf '' | grep -E -e "$2" > /dev/null
[ $? -le 1 ] || exit 2
binary=
grep -I x /dev/null > /dev/null 2>&1
[ $? -le 1 ] && binary=-I
find -H "$1" -name .git -prune -o -name node_modules -prune -o -type f -exec grep -nE $binary -e "$2" /dev/null {} + 2>/dev/null \\
  | cut -b 1-${lineBytesMax} | head -n ${matchesMax} > "$t"
wc -l < "$t"
LC_ALL=C sort -t : -k 1,1 -k 2,2n "$t" | head -n "$3"
`;

export async function search(sandbox: Sandbox, { pattern, path }: Input<'search'>): Promise<Answer> {
  if (pattern.includes('\0')) return problem('the pattern holds a NUL');
  const argv = script(searchScript, plain(path), pattern, String(toolLimits.searchLinesMax));
  const result = await sandbox.exec(argv, { ...fileToolOptions, keepBytes });
  const failure = failureOf(result);
  if (failure !== null) return problem(`can't search ${path}: ${failure}`);
  const { count, lines } = readCounted(result.stdout.text);
  if (count === 0) return answer(`no line of ${path === '.' ? 'the repository' : path} matches`);
  const all = count >= matchesMax ? `${count} or more` : String(count);
  return answer(within(sandbox, lines, count, 'lines; use a narrower pattern or path', all));
}

function readCounted(text: string): { count: number; lines: string[] } {
  const [count = '0', ...lines] = text.trimEnd().split('\n');
  return { count: Number(count), lines: lines.map((line) => line.replace(/^\.\//, '')) };
}

/** Joins the lines that fit into a result. If lines are left out, adds a line that reports how many are shown. */
function within(
  { resultCharactersMax }: Sandbox,
  lines: string[],
  count: number,
  what: string,
  all = String(count),
): string {
  let room = resultCharactersMax - reservedCharacters;
  const shown: string[] = [];
  for (const line of lines) {
    room -= line.length + 1;
    if (room < 0) break;
    shown.push(line);
  }
  if (shown.length < count) shown.push(`… the first ${shown.length} of ${all} ${what} …`);
  return shown.join('\n');
}
