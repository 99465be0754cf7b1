/** The only importer of yaml: a text as a value, with the place of each field in it. */
import { LineCounter, isMap, isSeq, isScalar, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';

/** Counted from 1. */
export type Position = { line: number; column: number };
export type Path = readonly (string | number)[];

export type YamlText = {
  value: unknown;
  /** Where a field is, or where the nearest field around it is when it is missing. */
  positionOf: (path: Path) => Position;
};

export type YamlProblem = Position & { message: string };

/** A reference to a reference to …: a few hundred bytes could become gigabytes. */
const aliasCountMax = 100;

export function parseYaml(text: string): { parsed: YamlText } | { problems: YamlProblem[] } {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number): Position => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (document.errors.length > 0) {
    return { problems: document.errors.map(({ pos, message }) => ({ ...at(pos[0]), message: oneSentence(message) })) };
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: aliasCountMax });
    return { parsed: { value, positionOf: (path) => at(offsetOf(document, path)) } };
  } catch (error) {
    return { problems: [{ line: 1, column: 1, message: oneSentence((error as Error).message) }] };
  }
}

const oneSentence = (message: string) => (message.split('\n')[0] ?? message).trim();

/** Follows the path as far as it goes. Of a pair the key's place counts, so that a complaint about a key points at it. */
function offsetOf(document: Document, path: Path): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const key of path) {
    if (isSeq(node) && typeof key === 'number') {
      node = node.items[key];
      offset = startOf(node) ?? offset;
    } else if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
      if (pair === undefined) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else break;
  }
  return offset;
}

const startOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0];
