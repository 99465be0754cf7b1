import { CoppiceError } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';

/** The part of a zod schema that this library needs; so only contracts knows zod. */
type Schema<Output> = {
  safeParse(
    value: unknown,
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
};

const issuesMax = 20;
const receivedCharactersMax = 80;

/**
 * Parses JSON.
 * @throws CoppiceError `invalid-request` that tells where the text stops being JSON.
 */
export function parseJson(data: Uint8Array | string, what: string): unknown {
  const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `${what} is not JSON: ${(cause as Error).message}`;
    const details = { issues: [{ field: '', expected: 'JSON', received: shorten(text) }] };
    throw new CoppiceError('invalid-request', message, { cause, details });
  }
}

/**
 * The value as the schema reads it.
 * @throws CoppiceError `invalid-request` whose message names the first wrong field, what was expected and what came; `details.issues` has all.
 */
export function validate<Output>(schema: Schema<Output>, value: unknown, what: string): Output {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = fieldIssues(result.error.issues, value);
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const text = first === undefined ? 'does not match its schema' : describe(first);
  throw new CoppiceError('invalid-request', `${what}: ${text}${more}`, { details: { issues } });
}

const describe = (issue: FieldIssue): string =>
  `${issue.field === '' ? 'the whole' : issue.field}: expected ${issue.expected}, received ${issue.received}`;

/** A schema's complaints as fields: `tasks[2].agent.kind`, what was expected there, and what came. */
export function fieldIssues(issues: readonly SchemaIssue[], value: unknown): FieldIssue[] {
  const found: FieldIssue[] = [];
  for (const issue of issues.flatMap((each) => spread(each, value))) {
    if (found.length === issuesMax) break;
    found.push(issue);
  }
  return found;
}

function spread(issue: SchemaIssue, value: unknown): FieldIssue[] {
  if (issue.code === 'unrecognized_keys' && issue.keys !== undefined) {
    return issue.keys.map((key) => ({
      field: fieldName([...issue.path, key]),
      expected: 'no such field',
      received: shorten(at(value, [...issue.path, key])),
    }));
  }
  const received = at(value, issue.path);
  return [{ field: fieldName(issue.path), expected: expectation(issue), received: shorten(received) }];
}

/** Turns the library's sentence (`Invalid input: expected string, received undefined`) into what follows "expected". */
function expectation(issue: SchemaIssue): string {
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

function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const key of path) name += typeof key === 'number' ? `[${key}]` : name === '' ? String(key) : `.${String(key)}`;
  return name;
}

function shorten(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? typeof value);
  return text.length <= receivedCharactersMax ? text : `${text.slice(0, receivedCharactersMax)}…`;
}
