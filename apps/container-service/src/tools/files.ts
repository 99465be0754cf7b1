/**
 * Tools that work on one file. They run inside the sandbox and use no path on the host, since the agent controls the files and links in the
 * workspace.
 */
import { randomUUID } from 'node:crypto';
import { ownDraftPrefix, toolLimits, type sandboxToolSchemas } from '@coppice/contracts';
import type { z } from 'zod';
import { replaceText } from './replace-text.ts';
import { answer, failureOf, fileToolOptions, plain, problem, requireFile, script, tooLarge } from './tool.ts';
import type { Answer, Sandbox } from './tool.ts';

type Input<Name extends keyof typeof sandboxToolSchemas> = z.output<(typeof sandboxToolSchemas)[Name]>;

/** Maximum number of bytes that one `read` gets from the sandbox. A result can't contain more. */
const readBytesMax = 4 * toolLimits.resultCharactersMax;
const atMost = `at most ${toolLimits.fileBytesMax} are taken`;
/** Characters reserved for the line above the content and the line below it. */
const reservedCharacters = 700;

/**
 * Name prefix of draft files, which imports skip. If a write is killed, the next write in the same folder removes its
 * draft.
 */
const toolDraftPrefix = `${ownDraftPrefix}tool-`;

/**
 * Script that prints the number of newlines, then 1 if the file ends with a newline or 0 if not, then the requested
 * lines.
 */
const readScript = `${requireFile}
printf '%s %s\\n' "$(wc -l < "$f")" "$(tail -c 1 -- "$f" | wc -l)"
[ -s "$f" ] || exit 0
sed -n "$2,$3p;$3q" "$f" | head -c ${readBytesMax}
`;

export async function read(sandbox: Sandbox, { path, fromLine, lines }: Input<'read'>): Promise<Answer> {
  const lastLine = fromLine + lines - 1;
  const argv = script(readScript, plain(path), String(fromLine), String(lastLine));
  const result = await sandbox.exec(argv, { ...fileToolOptions, keepBytes: 2 * readBytesMax });
  const failure = failureOf(result);
  if (failure !== null) return problem(`${path} can't be read: ${failure}`);
  const headEnd = result.stdout.text.indexOf('\n');
  const [ended = 0, lastEnded = 1] = result.stdout.text.slice(0, headEnd).trim().split(/\s+/).map(Number);
  const total = ended + (lastEnded === 1 ? 0 : 1);
  const raw = result.stdout.text.slice(headEnd + 1);
  if (total === 0 || (ended === 0 && raw === '' && fromLine === 1)) return answer(`${path} is empty`);
  if (fromLine > total) return problem(`${path} has ${total} lines; fromLine is ${fromLine}`);
  return answer(
    describeRange(sandbox, path, raw, {
      fromLine,
      lastLine: Math.min(lastLine, total),
      total,
      lastEnded: lastEnded === 1,
    }),
  );
}

function describeRange(
  { resultCharactersMax }: Sandbox,
  path: string,
  raw: string,
  range: { fromLine: number; lastLine: number; total: number; lastEnded: boolean },
): string {
  const { fromLine, total } = range;
  const crlf = raw.includes('\r\n');
  const content = crlf ? raw.replaceAll('\r\n', '\n') : raw;
  const room = Math.max(0, resultCharactersMax - reservedCharacters - path.length);
  const cut = content.length > room || Buffer.byteLength(raw) >= readBytesMax;
  let shown = content.slice(0, room).toWellFormed();
  let after = '';
  let { lastLine } = range;
  if (cut) {
    const lineEnd = shown.lastIndexOf('\n');
    // The line is longer than a result, and `read` can't return the rest of it.
    const partial = lineEnd === -1;
    if (!partial) shown = shown.slice(0, lineEnd + 1);
    lastLine = fromLine + (partial ? 0 : shown.split('\n').length - 2);
    after = partial
      ? `\n… the rest of line ${fromLine} is left out; it is very long: use run, e.g. with cut …`
      : `… cut here: read on with fromLine ${lastLine + 1} …`;
  } else if (lastLine < total) after = `… ${total - lastLine} more lines …`;
  const notes = [
    `lines ${fromLine}-${lastLine} of ${total}`,
    ...(crlf ? ['lines end with CRLF'] : []),
    ...(lastLine === total && !range.lastEnded ? ['the last line has no end'] : []),
  ];
  const whole = shown.endsWith('\n') || after === '' ? shown : `${shown}\n`;
  return `${path} (${notes.join('; ')}):\n${whole}${after}`;
}

/**
 * Script that writes a file. Arguments: path, size of the content, name of the draft. The script writes the content to
 * the draft and renames the draft. So the file stays unchanged if the disk is full or the script is killed. The script
 * compares the size, since standard input also ends when this process dies. If the path is a symbolic link, its target
 * is replaced.
 */
const writeScript = `
fail() { printf '%s\\n' "$1" >&2; exit 1; }
f=$(readlink -f -- "$1") || f=$1
if [ -d "$f" ]; then fail 'it is a folder'; fi
folder=$(dirname -- "$f")
mkdir -p -- "$folder" || exit 1
done=made
if [ -e "$f" ]; then
  done=replaced
  [ -f "$f" ] || fail 'it is not a regular file'
  [ -w "$f" ] || fail 'it may not be written'
fi
rm -f -- "$folder/${toolDraftPrefix}"* || exit 1
draft=$folder/$3
trap 'rm -f -- "$draft"' EXIT
cat > "$draft" || exit 1
[ "$(wc -c < "$draft")" -eq "$2" ] || fail 'only a part of the content arrived'
if [ -e "$f" ]; then chmod -- "$(stat -c %a -- "$f")" "$draft" || exit 1; fi
mv -f -- "$draft" "$f" && echo "$done"
`;

async function writeBytes(
  sandbox: Sandbox,
  path: string,
  bytes: Uint8Array,
): Promise<{ failure: string | null; made: boolean }> {
  const words = [plain(path), String(bytes.length), `${toolDraftPrefix}${randomUUID()}`];
  const result = await sandbox.exec(script(writeScript, ...words), { ...fileToolOptions, stdin: bytes });
  return { failure: failureOf(result), made: result.stdout.text.trim() === 'made' };
}

export async function write(sandbox: Sandbox, { path, content }: Input<'write'>): Promise<Answer> {
  const bytes = Buffer.from(content);
  if (bytes.length > toolLimits.fileBytesMax)
    return tooLarge(`${path} can't be written: the content has ${bytes.length} bytes, ${atMost}`);
  const { failure, made } = await writeBytes(sandbox, path, bytes);
  if (failure !== null) return problem(`${path} can't be written: ${failure}`);
  return answer(`${path} ${made ? 'made' : 'replaced'}: ${bytes.length} bytes`);
}

/** Script that prints a file as base64, so that any bytes can be transferred. */
const takeScript = `${requireFile}
size=$(wc -c < "$f")
[ "$size" -le "$2" ] || fail "it has $size bytes; edit takes files of at most $2: use run, e.g. with sed"
base64 < "$f"
`;

/**
 * Reads the file with one command and writes it with another. This process searches for the text, since a script in the sandbox could not
 * give the model a helpful error. No other tool call runs between the two commands.
 */
export async function edit(sandbox: Sandbox, { path, oldText, newText }: Input<'edit'>): Promise<Answer> {
  const argv = script(takeScript, plain(path), String(toolLimits.fileBytesMax));
  const taken = await sandbox.exec(argv, { ...fileToolOptions, keepBytes: toolLimits.fileBytesMax });
  const unread = failureOf(taken);
  if (unread !== null) return problem(`${path} can't be edited: ${unread}`);
  const replaced = replaceText(Buffer.from(taken.stdout.text, 'base64'), oldText, newText);
  if (replaced.status === 'refused') return problem(`${path} is unchanged: ${replaced.reason}`);
  if (replaced.bytes.length > toolLimits.fileBytesMax)
    return tooLarge(`${path} is unchanged: it would have ${replaced.bytes.length} bytes, ${atMost}`);
  const { failure } = await writeBytes(sandbox, path, replaced.bytes);
  if (failure !== null) return problem(`${path} can't be written: ${failure}`);
  return answer(`${path} edited at line ${replaced.line}`);
}
