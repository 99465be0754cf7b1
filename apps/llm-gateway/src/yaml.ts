/** The only importer of yaml: a text as a value, with the place of each field in it. */
import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document } from 'yaml';

/** Counted from 1. */
export type YamlPlace = { line: number; column: number };

export type YamlText = {
  value: unknown;
  /** Of a field such as `rules[0].turns`, or of the nearest one around it where it isn't there. */
  placeOf: (field: string) => YamlPlace;
};

/** A small file must not become a large value. */
const aliasCountMax = 100;

/** `problem` may quote the text; `code` doesn't. */
export function parseYaml(text: string): YamlText | { problem: string; code: string; place: YamlPlace } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const placeAt = (offset: number): YamlPlace => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) {
    const { code, message } = syntaxError;
    return { problem: message.split('\n')[0] ?? '', code, place: placeAt(syntaxError.pos[0]) };
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: aliasCountMax });
    return { value, placeOf: (field) => placeAt(offsetOf(document, field)) };
  } catch (error) {
    return { problem: (error as Error).message, code: 'TOO_LARGE', place: { line: 1, column: 1 } };
  }
}

/** Of a field in a map its name counts, so that a complaint about the name points at it. */
function offsetOf(document: Document, field: string): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [, index, name] of field.matchAll(/\[(\d+)\]|([^.[\]]+)/g)) {
    if (isSeq(node) && index !== undefined) node = node.items[Number(index)];
    else if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === (name ?? index));
      if (pair === undefined) break;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
      continue;
    } else break;
    offset = startOf(node) ?? offset;
  }
  return offset;
}

const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);
