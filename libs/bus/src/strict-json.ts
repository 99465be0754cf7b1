import { CoppiceError, invalidUtf8At } from '@coppice/contracts';
import { placeAt, repeatedField } from './json-place.ts';
import type { JsonPath } from './json-place.ts';
import { requireSmallJson } from './json-size.ts';
import type { JsonLimits } from './json-size.ts';
import { fieldName, parseJson, shorten } from './validate.ts';

/**
 * Parses JSON from outside. Rejects input that other parsers may read differently: bytes that aren't UTF-8, unpaired
 * surrogates, and repeated fields of an object. Valid input costs one pass over the bytes and one over the values. The
 * place of a fault is searched only in invalid input.
 * @throws CoppiceError `limit-exceeded` or `invalid-request`. The message and `details.issues` name the field.
 */
export function parseStrictJson(data: Uint8Array, what: string, limits: JsonLimits): unknown {
  const wrongAt = invalidUtf8At(data);
  if (wrongAt !== null) throw notUtf8(data, wrongAt, what);
  const { members } = requireSmallJson(data, what, limits);
  const value = parseJson(data, what);
  const mayHaveHalves = hasSurrogateEscape(data);
  // If a field is repeated, the value has fewer members than the text.
  if (membersOf(value) !== members) throw repeated(data, what);
  if (mayHaveHalves) requireWholeCharacters(value, [], what);
  return value;
}

const decoder = new TextDecoder();

function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') members += membersOf(item);
    return members;
  }
  const fields = value as Record<string, unknown>;
  for (const name in fields) {
    members++;
    if (typeof fields[name] === 'object') members += membersOf(fields[name]);
  }
  return members;
}

function repeated(data: Uint8Array, what: string): CoppiceError {
  const place = repeatedField(decoder.decode(data)) ?? { path: [], line: 1, column: 1 };
  const { line, column } = place;
  return refusal(what, place.path, 'each field once', `it again at line ${line}, column ${column}`, { line, column });
}

/** Valid UTF-8 contains no surrogates, so only an escape can produce one. */
function hasSurrogateEscape(data: Uint8Array): boolean {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return bytes.includes('\\ud') || bytes.includes('\\uD');
}

/** @throws CoppiceError */
function requireWholeCharacters(value: unknown, path: JsonPath, what: string): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw halfCharacter(value, path, what);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) requireWholeCharacters(item, [...path, index], what);
    return;
  }
  for (const [name, field] of Object.entries(value)) {
    if (!name.isWellFormed()) throw halfCharacter(name, [...path, name], what);
    requireWholeCharacters(field, [...path, name], what);
  }
}

const halfCharacter = (text: string, path: JsonPath, what: string): CoppiceError =>
  refusal(what, path, 'Unicode text without unpaired surrogates', shorten(text));

function notUtf8(data: Uint8Array, offset: number, what: string): CoppiceError {
  const before = decoder.decode(data.subarray(0, offset));
  const { path, line, column } = placeAt(before, before.length);
  const byte = `the byte 0x${data[offset]?.toString(16).padStart(2, '0')} at line ${line}, column ${column}`;
  return refusal(what, path, 'text in UTF-8', byte, { line, column });
}

function refusal(what: string, path: JsonPath, expected: string, received: string, place: object = {}): CoppiceError {
  const field = fieldName(path);
  const message = `${what}: ${field === '' ? '' : `${field}: `}expected ${expected}, received ${received}`;
  return new CoppiceError('invalid-request', message, {
    details: { issues: [{ field, expected, received }], ...place },
  });
}
