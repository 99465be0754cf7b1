/** The only importer of yaml: a text as a value, with the place of each field in it. Beside the lib's page, since most processes read none, and loading it takes time. */
import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document } from 'yaml';

/** Counted from 1. */
export type YamlPlace = { line: number; column: number };

export type YamlText = {
  value: unknown;
  /** Of a field such as `rules[0].turns`, or of the nearest one around it where it isn't there. */
  placeOf: (field: string) => YamlPlace;
};

/** `message` is one sentence and may quote the text; `code` doesn't. */
export type YamlProblem = { message: string; code: string; place: YamlPlace };

/** A reference to a reference to …: a few hundred bytes could become gigabytes. */
const aliasCountMax = 100;

export function parseYaml(text: string): YamlText | { problems: [YamlProblem, ...YamlProblem[]] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const placeAt = (offset: number): YamlPlace => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const [first, ...more] = document.errors.map(({ code, message, pos }) => ({
    message: oneSentence(message),
    code,
    place: placeAt(pos[0]),
  }));
  if (first !== undefined) return { problems: [first, ...more] };
  try {
    const value: unknown = document.toJS({ maxAliasCount: aliasCountMax });
    return { value, placeOf: (field) => placeAt(offsetOf(document, field)) };
  } catch (error) {
    const message = oneSentence((error as Error).message);
    return { problems: [{ message, code: 'TOO_LARGE', place: { line: 1, column: 1 } }] };
  }
}

const oneSentence = (message: string): string => (message.split('\n')[0] ?? message).trim();

/** Follows the field as far as it goes. Of one in a map its name counts, so that a complaint about the name points at it. */
function offsetOf(document: Document, field: string): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [, index, name] of field.matchAll(/\[(\d+)\]|([^.[\]]+)/g)) {
    if (isSeq(node) && index !== undefined) {
      node = node.items[Number(index)];
      offset = startOf(node) ?? offset;
    } else if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === (name ?? index));
      if (pair === undefined) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else break;
  }
  return offset;
}

const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);
