/**
 * Outcome of an exact replacement. If the text does not occur exactly once, the replacement is refused with a reason that helps the model.
 */
export type Replaced = { status: 'replaced'; bytes: Uint8Array; line: number } | { status: 'refused'; reason: string };

const placesShownMax = 10;
const linesShownMax = 20;
const lineCharactersMax = 300;
/** Maximum number of lines of a file that are searched for a similar line. */
const linesComparedMax = 20_000;
/** Similarity that a line must exceed to count as similar. */
const similarityMin = 0.5;

/** Replaces a text that occurs exactly once. Works on bytes, so that bytes that aren't UTF-8 stay unchanged. */
export function replaceText(file: Uint8Array, oldText: string, newText: string): Replaced {
  if (oldText === newText) return refused('oldText and newText are the same');
  const content = Buffer.from(file).toString('latin1');
  const asBytes = (text: string) => Buffer.from(text).toString('latin1');
  let [old, replacement] = [asBytes(oldText), asBytes(newText)];
  // Models read and write lines that end with LF, so the texts are converted if the file's lines end with CRLF.
  if (content.includes('\r\n') && !content.includes(old)) {
    [old, replacement] = [old, replacement].map((text) => text.replaceAll(/\r?\n/g, '\r\n')) as [string, string];
  }
  const places = placesOf(content, old);
  const [first] = places;
  if (first === undefined) return refused(notThere(Buffer.from(file).toString('utf8'), oldText));
  if (places.length > 1) {
    const lines = places.slice(0, placesShownMax).map((place) => lineOf(content, place));
    const more = places.length > placesShownMax ? ' …' : '';
    return refused(
      `oldText is there ${places.length} times, at lines ${lines.join(', ')}${more}; give more of what is around the one you mean`,
    );
  }
  const changed = content.slice(0, first) + replacement + content.slice(first + old.length);
  return { status: 'replaced', bytes: Buffer.from(changed, 'latin1'), line: lineOf(content, first) };
}

const refused = (reason: string): Replaced => ({ status: 'refused', reason });

/** Returns the offsets of all occurrences. Overlapping occurrences count, so `aa` occurs twice in `aaa`. */
function placesOf(content: string, wanted: string): number[] {
  const places: number[] = [];
  for (let at = content.indexOf(wanted); at !== -1; at = content.indexOf(wanted, at + 1)) places.push(at);
  return places;
}

const lineOf = (content: string, place: number): number => content.slice(0, place).split('\n').length;

function notThere(content: string, oldText: string): string {
  const lines = content.split(/\r?\n/);
  const wanted = oldText.split(/\r?\n/);
  const loose = findLoosely(lines, wanted);
  if (loose !== null)
    return `oldText is there only with other white space, at line ${loose + 1}:\n${show(lines, loose, wanted.length)}`;
  const near = findNear(lines, wanted);
  if (near === null) return 'oldText is not there, and no line is like it; read the file again';
  return `oldText is not there; the nearest is at line ${near + 1}:\n${show(lines, near, wanted.length)}`;
}

function show(lines: string[], from: number, count: number): string {
  return lines
    .slice(from, from + Math.min(count, linesShownMax))
    .map((line) => line.slice(0, lineCharactersMax).toWellFormed())
    .join('\n');
}

const squeeze = (line: string): string => line.replaceAll(/\s+/g, ' ').trim();

function findLoosely(lines: string[], wanted: string[]): number | null {
  const squeezed = wanted.map(squeeze);
  const start = squeezed.findIndex((line) => line !== '');
  if (start === -1) return null;
  const needed = squeezed.slice(start).filter((line) => line !== '');
  const present = lines.map((line, number) => ({ text: squeeze(line), number })).filter(({ text }) => text !== '');
  const at = present.findIndex(
    ({ text }, index) => text === needed[0] && needed.every((line, more) => present[index + more]?.text === line),
  );
  return at === -1 ? null : (present[at]?.number ?? null);
}

/**
 * Finds the line that is most similar to the longest wanted line. Returns the index at which the wanted text would
 * start.
 */
function findNear(lines: string[], wanted: string[]): number | null {
  const longest = wanted.reduce(
    (best, line, index) => (squeeze(line).length > squeeze(wanted[best] ?? '').length ? index : best),
    0,
  );
  const pairs = pairsOf(squeeze(wanted[longest] ?? '').slice(0, lineCharactersMax));
  let best = { line: -1, similarity: similarityMin };
  for (const [index, line] of lines.slice(0, linesComparedMax).entries()) {
    const similarity = similarityOf(pairs, pairsOf(squeeze(line).slice(0, lineCharactersMax)));
    if (similarity > best.similarity) best = { line: index, similarity };
  }
  return best.line === -1 ? null : Math.max(0, best.line - longest);
}

const pairsOf = (text: string): Set<string> =>
  new Set(Array.from({ length: Math.max(0, text.length - 1) }, (_, at) => text.slice(at, at + 2)));

/** Dice's coefficient of two sets of character pairs. */
function similarityOf(left: ReadonlySet<string>, right: ReadonlySet<string>): number {
  if (left.size === 0 || right.size === 0) return 0;
  return (2 * left.intersection(right).size) / (left.size + right.size);
}
