import { CoppiceError } from '@coppice/contracts';
import { placeAt } from './json-place.ts';
import { fieldName } from './validate.ts';

const quote = 0x22;
const backslash = 0x5c;
const [openList, closeList, openObject, closeObject, comma, colon] = [0x5b, 0x5d, 0x7b, 0x7d, 0x2c, 0x3a];

export type JsonLimits = { valuesMax: number; depthMax: number };

/** Maximum number of path parts in an error message. */
const pathPartsMax = 9;

/**
 * Limits the number and the depth of the values in a JSON text before it is parsed. The values of a short text can take
 * a hundred times its size in memory. An empty list or object counts as two values. If the text isn't JSON, the counts
 * have no meaning, but parsing fails later.
 * @returns the number of fields of all objects in the text, including repeated fields
 * @throws CoppiceError `limit-exceeded`, which names the field
 */
export function requireSmallJson(data: Uint8Array, what: string, limits: JsonLimits): { members: number } {
  const { valuesMax, depthMax } = limits;
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let values = 1;
  let depth = 0;
  let members = 0;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at];
    if (byte === quote) at = endOfString(text, at + 1);
    else if (byte === openList || byte === openObject) {
      values++;
      depth++;
    } else if (byte === closeList || byte === closeObject) depth--;
    else if (byte === comma) values++;
    else if (byte === colon) members++;
    if (values > valuesMax) throw tooLarge(text, at, what, `at most ${valuesMax} JSON values`, 'more');
    if (depth > depthMax) throw tooLarge(text, at, what, `at most ${depthMax} levels of nesting`, `${depth}`);
  }
  return { members };
}

function tooLarge(text: Buffer, at: number, what: string, expected: string, received: string): CoppiceError {
  const before = text.toString('utf8', 0, at);
  const { path } = placeAt(before, before.length);
  // The error names the list that is too long, not the first item over the limit.
  while (typeof path.at(-1) === 'number') path.pop();
  const field = `${fieldName(path.slice(0, pathPartsMax))}${path.length > pathPartsMax ? '…' : ''}`;
  const message = `${what}: ${field === '' ? '' : `${field}: `}expected ${expected}, received ${received}`;
  return new CoppiceError('limit-exceeded', message, { details: { issues: [{ field, expected, received }] } });
}

/**
 * Returns the index of the string's closing quote. indexOf skips long strings fast, since most of a large request is an
 * image or a file.
 */
function endOfString(text: Buffer, from: number): number {
  for (let at = text.indexOf(quote, from); at !== -1; at = text.indexOf(quote, at + 1)) {
    let backslashes = 0;
    while (text[at - 1 - backslashes] === backslash) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}
