import { CoppiceError } from '@coppice/contracts';

const quote = 0x22;
const backslash = 0x5c;
const [openList, closeList, openObject, closeObject, comma] = [0x5b, 0x5d, 0x7b, 0x7d, 0x2c];

/**
 * A few bytes of JSON become a hundred times as many in memory, and complaints about each of them a thousand times: so its values and their depth are
 * counted before it is parsed, an empty list or object as two. Of what isn't JSON the count means nothing, which the parser then tells.
 * @throws CoppiceError `limit-exceeded`.
 */
export function requireSmallJson(
  data: Uint8Array,
  what: string,
  { valuesMax, depthMax }: { valuesMax: number; depthMax: number },
): void {
  // Whose search is quicker.
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let values = 1;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at];
    if (byte === quote) at = endOfString(text, at + 1);
    else if (byte === openList || byte === openObject) {
      values++;
      depth++;
    } else if (byte === closeList || byte === closeObject) depth--;
    else if (byte === comma) values++;
    if (values > valuesMax) throw new CoppiceError('limit-exceeded', `${what} has more than ${valuesMax} JSON values`);
    if (depth > depthMax) throw new CoppiceError('limit-exceeded', `${what} is nested more than ${depthMax} deep`);
  }
}

/** Long ones are skipped at once: most of a large request is an image or a file. */
function endOfString(text: Buffer, from: number): number {
  for (let at = text.indexOf(quote, from); at !== -1; at = text.indexOf(quote, at + 1)) {
    let backslashes = 0;
    while (text[at - 1 - backslashes] === backslash) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}
