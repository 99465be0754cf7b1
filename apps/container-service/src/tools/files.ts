/** The tools that work on one file, each from inside the sandbox: its tree is the agent's, links and all, and no host path leads there. */
import { toolLimits, type sandboxToolSchemas } from '@coppice/contracts';
import type { z } from 'zod';
import { replaceText } from './replace-text.ts';
import { answer, failureOf, fileToolOptions, plain, problem, requireFile, script, tooLarge } from './tool.ts';
import type { Answer, Sandbox } from './tool.ts';

type Input<Name extends keyof typeof sandboxToolSchemas> = z.output<(typeof sandboxToolSchemas)[Name]>;

/** Of what one read takes out of the sandbox; more than a result can hold. */
const readBytesMax = 4 * toolLimits.resultCharactersMax;
const atMost = `at most ${toolLimits.fileBytesMax} are taken`;
/** For the line above the content and the one below. */
const reservedCharacters = 700;

/** First line: lines ended, whether the last one is. Then the range. */
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
    // A line that is longer than a result: the rest of it can't be asked for by lines.
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

/** The content is taken in whole before the file is touched: standard input also ends when this process dies. In place, so that its mode stays; nothing of ours is left beside it. */
const writeScript = `
f=$1
if [ -d "$f" ]; then echo 'it is a folder' >&2; exit 1; fi
t=$(mktemp) || exit 1
trap 'rm -f "$t"' EXIT
cat > "$t" || exit 1
if [ "$(wc -c < "$t")" -ne "$2" ]; then echo 'only a part of the content arrived' >&2; exit 1; fi
mkdir -p -- "$(dirname -- "$f")" || exit 1
if [ -e "$f" ]; then echo replaced; else echo made; fi
cat "$t" > "$f"
`;

async function writeBytes(
  sandbox: Sandbox,
  path: string,
  bytes: Uint8Array,
): Promise<{ failure: string | null; made: boolean }> {
  const result = await sandbox.exec(script(writeScript, plain(path), String(bytes.length)), {
    ...fileToolOptions,
    stdin: bytes,
  });
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

/** As base64: any bytes come through unharmed. */
const takeScript = `${requireFile}
size=$(wc -c < "$f")
[ "$size" -le "$2" ] || fail "it has $size bytes; edit takes files of at most $2: use run, e.g. with sed"
base64 < "$f"
`;

/** Two starts of a command: what is replaced is looked for here, where it can be said what is wrong. Nothing else runs in between. */
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
