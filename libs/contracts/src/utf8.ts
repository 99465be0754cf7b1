import { isUtf8 } from 'node:buffer';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The offset of the first byte that is no UTF-8, or null where all are. */
export function invalidUtf8At(data: Uint8Array): number | null {
  if (isUtf8(data)) return null;
  // A decoder puts a replacement character where it can't read on: the first that the bytes themselves don't have.
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
