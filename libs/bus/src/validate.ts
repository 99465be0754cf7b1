import { CoppiceError, suggestionFor } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import { syntaxFault } from './json-place.ts';

/** The part of a zod schema that this file uses, so that it doesn't depend on zod. */
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
  /** Issues of the key, if a record has an invalid key. */
  issues?: readonly SchemaIssue[];
};

/** An issue before zod builds its message. Only this form gives access to the schema. */
type RawIssue = { code?: string; keys?: string[]; inst?: object };

const issuesMax = 20;
const receivedCharactersMax = 80;
/** The name of an unknown field is limited, since the sender chooses it. */
const fieldCharactersMax = 1_000;

const decoder = new TextDecoder();

/**
 * Parses JSON.
 * @throws CoppiceError `invalid-request`, which names the field, line and column of the first syntax error
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
 * @throws CoppiceError `invalid-request`. The message names the first invalid field, the expected value and the
 * received one. `details.issues` has at most 20 fields.
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

/** Returns the value as parsed by the schema, or its issues. For a misspelt field, the issue suggests a name. */
export function readFields<Output>(
  schema: Schema<Output>,
  value: unknown,
): { success: true; data: Output } | { success: false; issues: FieldIssue[] } {
  // Known fields of each object with unknown fields. The key is the issue's array of unknown fields, which the raw and
  // the final issue share.
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

/**
 * Converts zod's issues to at most 20 fields, each with its name, such as `tasks[2].agent.kind`, the expected value and
 * the received one.
 */
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

/** Extracts the expected value from zod's message, such as `Invalid input: expected string, received undefined`. */
function expectation(issue: SchemaIssue): string {
  // A union without its own message expects one of its alternatives.
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

/** Formats a path, such as `tasks[2].agent.kind`. */
export function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const key of path) {
    name += typeof key === 'number' ? `[${key}]` : name === '' ? String(key) : `.${String(key)}`;
    if (name.length > fieldCharactersMax) return `${name.slice(0, fieldCharactersMax).toWellFormed()}…`;
  }
  return name.toWellFormed();
}

/**
 * Returns a value as short text. `toWellFormed` keeps the text valid Unicode if the cut or the input splits a
 * character.
 */
export function shorten(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length <= receivedCharactersMax ? text : `${text.slice(0, receivedCharactersMax).toWellFormed()}…`;
}
