/**
 * Finds places in a JSON text. Used only to report invalid input, since jsonc-parser is slower than JSON.parse. No
 * other file imports jsonc-parser.
 */
import { getLocation, visit } from 'jsonc-parser';
import type { ParseErrorCode } from 'jsonc-parser';

export type JsonPath = (string | number)[];

/** A place in a JSON text. `line` and `column` start at 1, and columns are counted in UTF-16 units. */
export type JsonPlace = { path: JsonPath; line: number; column: number };

export type JsonFault = JsonPlace & { expected: string; received: string };

const receivedCharactersMax = 60;

/**
 * Expected syntax by `ParseErrorCode`. Numbers are used because erasable TypeScript doesn't allow the parser's const
 * enum.
 */
const expectedByCode: Partial<Record<ParseErrorCode, string>> = {
  2: 'a number',
  3: 'a field name in double quotes',
  4: 'a value',
  5: 'a colon',
  6: 'a comma',
  7: 'a comma or }',
  8: 'a comma or ]',
  9: 'the end of the text',
  10: 'a value; comments are not allowed',
  11: 'a value; comments are not allowed',
  12: 'a string that ends with a double quote',
  13: 'a number',
  14: 'a string with four hexadecimal digits after \\u',
  15: 'a string with valid escapes',
  16: 'a string without unescaped control characters',
};

const strict = { disallowComments: true } as const;

/**
 * Returns the place of the character at `offset`, which may be the end of the text. The path is empty if the text is
 * nested too deep for this parser.
 */
export function placeAt(text: string, offset: number): JsonPlace {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  const path = pathAt(before);
  // The parser returns an empty name for a field whose name has not started yet.
  if (path.at(-1) === '') path.pop();
  return { path, line: before.split('\n').length, column: offset - lineStart + 1 };
}

function pathAt(before: string): JsonPath {
  try {
    return getLocation(before, before.length).path;
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

/** Returns the first syntax error. Null if the text is valid JSON or nested too deep for this parser. */
export function syntaxFault(text: string): JsonFault | null {
  let fault: JsonFault | null = null;
  try {
    const onError = (code: ParseErrorCode, offset: number) => {
      const received =
        offset >= text.length
          ? 'the end of the text'
          : text.slice(offset, offset + receivedCharactersMax).toWellFormed();
      throw new Found({ ...placeAt(text, offset), expected: expectedByCode[code] ?? 'a value', received });
    };
    visit(text, { onError }, strict);
  } catch (error) {
    if (error instanceof Found) fault = error.fault;
    else if (!(error instanceof RangeError)) throw error;
  }
  return fault;
}

/**
 * Returns the first place where a field's name occurs again in its object. Names are compared without escapes, so `"a"`
 * and `"\u0061"` are the same name.
 */
export function repeatedField(text: string): JsonPlace | null {
  const open: Set<string>[] = [];
  let found: JsonPlace | null = null;
  visit(
    text,
    {
      onObjectBegin: () => void open.push(new Set()),
      onObjectEnd: () => void open.pop(),
      onObjectProperty: (name, _offset, _length, line, column, pathOf) => {
        const names = open.at(-1);
        if (names?.has(name)) found ??= { path: [...pathOf(), name], line: line + 1, column: column + 1 };
        names?.add(name);
      },
    },
    strict,
  );
  return found;
}

class Found extends Error {
  readonly fault: JsonFault;

  constructor(fault: JsonFault) {
    super('found');
    this.fault = fault;
  }
}
