/**
 * Parses YAML into a value with the place of each field. A package of its own, since loading `yaml` takes time and most
 * processes don't need it.
 */
import { invalidUtf8At } from '@coppice/contracts';
import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document } from 'yaml';

/** A place in the text. Lines and columns start at 1. */
export type YamlPlace = { line: number; column: number };

export type YamlText = {
  value: unknown;
  /**
   * Returns the place of a field such as `rules[0].turns`. For a missing field, returns the place of the innermost
   * existing field around it.
   */
  placeOf: (field: string) => YamlPlace;
};

/** A problem in the text. `message` is one sentence that may quote the text. `code` never quotes it. */
export type YamlProblem = { message: string; code: string; place: YamlPlace };

/** Maximum number of aliases. Nested aliases could expand a text of a few hundred bytes to gigabytes. */
const aliasCountMax = 100;

type Refused = { problems: [YamlProblem, ...YamlProblem[]] };

/**
 * Parses YAML from a string or from bytes in UTF-8. Rejects duplicate keys and unpaired surrogates, since other parsers
 * may read them differently.
 */
export function parseYaml(source: string | Uint8Array): YamlText | Refused {
  const text = typeof source === 'string' ? source : decoder.decode(source);
  const wrongAt = typeof source === 'string' ? null : invalidUtf8At(source);
  if (typeof source !== 'string' && wrongAt !== null) return notUtf8(source, wrongAt);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: isSameName });
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
    const placeOf = (field: string) => placeAt(offsetOf(document, field));
    const half = halfCharacterIn(value, '');
    if (half !== null)
      return { problems: [{ message: halfCharacterMessage, code: 'HALF_CHARACTER', place: placeOf(half) }] };
    return { value, placeOf };
  } catch (error) {
    const message = oneSentence((error as Error).message);
    return { problems: [{ message, code: 'TOO_LARGE', place: { line: 1, column: 1 } }] };
  }
}

const decoder = new TextDecoder();

function notUtf8(source: Uint8Array, at: number): Refused {
  const before = decoder.decode(source.subarray(0, at)).split('\n');
  const place = { line: before.length, column: (before.at(-1) ?? '').length + 1 };
  const message = `The byte 0x${source[at]?.toString(16).padStart(2, '0')} is not UTF-8`;
  return { problems: [{ message, code: 'NOT_UTF8', place }] };
}

/** Returns true if two keys of a map become the same property name in the parsed object, such as `1` and `"1"`. */
const isSameName = (one: unknown, other: unknown): boolean =>
  isScalar(one) && isScalar(other) && nameOf(one.value) === nameOf(other.value);
const nameOf = (key: unknown): string => (key === null ? '' : `${key as string | number | boolean}`);

const halfCharacterMessage = 'An escape is half of a character: expected a surrogate pair, or the character itself';

/** Returns the first field whose text or name has an unpaired surrogate, or null. */
function halfCharacterIn(value: unknown, field: string): string | null {
  if (typeof value === 'string') return value.isWellFormed() ? null : field;
  if (typeof value !== 'object' || value === null) return null;
  for (const [name, item] of Object.entries(value)) {
    const inner = Array.isArray(value) ? `${field}[${name}]` : `${field}${field === '' ? '' : '.'}${name}`;
    const found = name.isWellFormed() ? halfCharacterIn(item, inner) : inner;
    if (found !== null) return found;
  }
  return null;
}

const oneSentence = (message: string): string => (message.split('\n')[0] ?? message).trim();

/**
 * Returns the offset of a field. For a missing field, returns the offset of the innermost existing field around it. The
 * offset of a map's field is that of its key, so that an error about the key points to the key.
 */
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
