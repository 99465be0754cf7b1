import { CoppiceError, suggestionFor } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import { syntaxFault } from './json-place.ts';

/** The part of a zod schema that this library needs, so that only contracts depends on zod. */
type Schema<Output> = {
  safeParse(
    value: unknown,
    context?: { error: (issue: RawIssue) => undefined },
  ): { success: true; data: Output } | { success: false; error: { issues: readonly SchemaIssue[] } };
};
type SchemaIssue = {
  code?: string;
  path: readonly PropertyKey[];
  message: string;
  input?: unknown;
  keys?: string[];
  expected?: unknown;
  errors?: readonly (readonly SchemaIssue[])[];
  /** Issues of a record's key. */
  issues?: readonly SchemaIssue[];
};

/** An issue before its message is built, while its schema is still accessible. */
type RawIssue = { code?: string; keys?: string[]; inst?: object };

const issuesMax = 20;
const receivedCharactersMax = 80;
/** The sender chooses the name of an unknown field, so its length is limited. */
const fieldCharactersMax = 1_000;

const decoder = new TextDecoder();

/**
 * Parses JSON.
 * @throws CoppiceError `invalid-request`, which names the field, the line and the column where the text stops being JSON.
 */
export function parseJson(data: Uint8Array | string, what: string): unknown {
  const text = typeof data === 'string' ? data : decoder.decode(data);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notJson(text, what, cause as Error);
  }
}

function notJson(text: string, what: string, cause: Error): CoppiceError {
  const fault = syntaxFault(text);
  if (fault === null) {
    const details = { issues: [{ field: '', expected: 'JSON', received: shorten(text) }] };
    return new CoppiceError('invalid-request', `${what} is not JSON: ${cause.message}`, { cause, details });
  }
  const { path, line, column } = fault;
  const field = fieldName(path);
  const expected = `JSON, here ${fault.expected}`;
  const received = `${fault.received} at line ${line}, column ${column}`;
  const message = `${what} is not JSON: ${describe({ field, expected: fault.expected, received })}`;
  return new CoppiceError('invalid-request', message, {
    cause,
    details: { issues: [{ field, expected, received }], line, column },
  });
}

/**
 * Returns the value as parsed by the schema.
 * @throws CoppiceError `invalid-request` whose message names the first invalid field, the expected value and the received one; `details.issues` has all fields.
 */
export function validate<Output>(schema: Schema<Output>, value: unknown, what: string): Output {
  const result = readFields(schema, value);
  if (result.success) return result.data;
  const { issues } = result;
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const text = first === undefined ? 'does not match its schema' : describe(first);
  throw new CoppiceError('invalid-request', `${what}: ${text}${more}`, { details: { issues } });
}

const describe = (issue: FieldIssue): string =>
  `${issue.field === '' ? '' : `${issue.field}: `}expected ${issue.expected}, received ${issue.received}`;

/** Returns the value as parsed by the schema, or the schema's issues. The issue of a misspelt field suggests a name. */
export function readFields<Output>(
  schema: Schema<Output>,
  value: unknown,
): { success: true; data: Output } | { success: false; issues: FieldIssue[] } {
  // The known fields of the object in which unknown fields were found. The key is the issue's list of unknown fields, since the raw issue and the final issue
  // have the same array.
  const fieldsBeside = new Map<readonly string[], string[]>();
  const error = ({ keys, inst }: RawIssue) => {
    const { shape } = (inst ?? {}) as { shape?: object };
    if (keys !== undefined && shape !== undefined) fieldsBeside.set(keys, Object.keys(shape));
    return undefined;
  };
  const result = schema.safeParse(value, { error });
  if (result.success) return result;
  return { success: false, issues: fieldIssues(result.error.issues, value, fieldsBeside) };
}

/** Converts a schema's issues to fields: the field's name such as `tasks[2].agent.kind`, the expected value, and the received one. */
export function fieldIssues(
  issues: readonly SchemaIssue[],
  value: unknown,
  fieldsBeside: ReadonlyMap<readonly string[], string[]> = new Map(),
): FieldIssue[] {
  const found: FieldIssue[] = [];
  for (const issue of issues) {
    found.push(...spread(issue, value, fieldsBeside));
    if (found.length >= issuesMax) break;
  }
  return found.slice(0, issuesMax);
}

function spread(
  issue: SchemaIssue,
  value: unknown,
  fieldsBeside: ReadonlyMap<readonly string[], string[]>,
): FieldIssue[] {
  if (issue.code === 'unrecognized_keys' && issue.keys !== undefined) {
    const fields = fieldsBeside.get(issue.keys) ?? [];
    return issue.keys.slice(0, issuesMax).map((key) => {
      const meant = suggestionFor(key, fields);
      return {
        field: fieldName([...issue.path, key]),
        expected: meant === null ? 'no such field' : `no such field (did you mean ${meant}?)`,
        received: shorten(at(value, [...issue.path, key])),
      };
    });
  }
  const [ofName] = issue.code === 'invalid_key' ? (issue.issues ?? []) : [];
  if (ofName !== undefined)
    return [{ field: fieldName(issue.path), expected: expectation(ofName), received: shorten(issue.path.at(-1)) }];
  const received = at(value, issue.path);
  return [{ field: fieldName(issue.path), expected: expectation(issue), received: shorten(received) }];
}

/** Extracts the text after "expected" from the library's sentence, such as `Invalid input: expected string, received undefined`. */
function expectation(issue: SchemaIssue): string {
  // For a union without its own message, lists the expectations of all alternatives.
  if (issue.code === 'invalid_union' && issue.message === 'Invalid input') {
    const all = (issue.errors ?? []).flatMap(([first]) => (first === undefined ? [] : [expectation(first)]));
    if (all.length > 0) return [...new Set(all)].join(' or ');
  }
  return issue.message
    .replace(/^Invalid (input|option|string|discriminator value)[:.]?\s*/i, '')
    .replace(/^expected\s+/i, '')
    .replace(/,\s*received\s.*$/i, '')
    .replace(/^Too (small|big): expected \w+ to (have|be) /i, '');
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<PropertyKey, unknown>)[key];
  }
  return current;
}

/** Formats a path as a field name, such as `tasks[2].agent.kind`. */
export function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const key of path) {
    name += typeof key === 'number' ? `[${key}]` : name === '' ? String(key) : `.${String(key)}`;
    if (name.length > fieldCharactersMax) return `${name.slice(0, fieldCharactersMax).toWellFormed()}…`;
  }
  return name.toWellFormed();
}

/** Returns a value as one short text. `toWellFormed` keeps the answer valid Unicode when the cut, or the input itself, splits a character. */
export function shorten(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length <= receivedCharactersMax ? text : `${text.slice(0, receivedCharactersMax).toWellFormed()}…`;
}
