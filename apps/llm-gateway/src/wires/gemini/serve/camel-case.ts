import { CoppiceError } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';

/** Fields whose content stays unchanged, since it contains names that the client chose. */
const opaque = new Set([
  'args',
  'response',
  'parameters',
  'parametersJsonSchema',
  'responseSchema',
  'responseJsonSchema',
  '_responseJsonSchema',
]);

/**
 * Converts the names of fields to camel case. The vendor also accepts snake case, for example `system_instruction`.
 * @param field the path of the value, for errors
 * @throws CoppiceError `invalid-request` if both spellings of a field are present. Otherwise the gateway could check
 * one spelling while the vendor uses the other.
 */
export function camelCased(value: unknown, field = ''): unknown {
  if (Array.isArray(value)) return value.map((inner, index) => camelCased(inner, `${field}[${index}]`));
  if (typeof value !== 'object' || value === null) return value;
  const spellings = new Map<string, string>();
  const entries = Object.entries(value).map(([name, inner]) => {
    const camel = name.replaceAll(/(?<=[a-zA-Z0-9])_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const at = field === '' ? camel : `${field}.${camel}`;
    const other = spellings.get(camel);
    if (other !== undefined) throw duplicateField(at, [other, name]);
    spellings.set(camel, name);
    return [camel, opaque.has(camel) ? inner : camelCased(inner, at)] as const;
  });
  return Object.fromEntries(entries);
}

const quotedCharactersMax = 200;

function duplicateField(field: string, names: readonly string[]): CoppiceError {
  const [quoted, received] = [field, names.join(' and ')].map((text) => text.slice(0, quotedCharactersMax)) as [
    string,
    string,
  ];
  const issue: FieldIssue = { field: quoted, expected: 'one spelling', received };
  const message = `the request: ${quoted}: expected ${issue.expected}, received ${received}`;
  return new CoppiceError('invalid-request', message, { details: { issues: [issue] } });
}
