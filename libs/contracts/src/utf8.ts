import { isUtf8 } from 'node:buffer';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Returns the offset of the first invalid byte, or null if all are valid UTF-8. */
export function invalidUtf8At(data: Uint8Array): number | null {
  if (isUtf8(data)) return null;
  // The decoder replaces invalid bytes with replacement characters. The first of these that the data doesn't contain is
  // at the offset of the first invalid byte.
  const text = decoder.decode(data);
  let bytes = 0;
  let from = 0;
  for (let at = text.indexOf('\ufffd'); at !== -1; at = text.indexOf('\ufffd', at + 1)) {
    bytes += Buffer.byteLength(text.slice(from, at));
    from = at;
    if (data[bytes] !== 0xef || data[bytes + 1] !== 0xbf || data[bytes + 2] !== 0xbd) return bytes;
  }
  return data.length - 1;
}
