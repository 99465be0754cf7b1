/** Names for what generators of types find in the schemas, and what a schema has to say of null. */
import type { JsonSchema } from '@coppice/contracts';

/** `run.submit.input` is `RunSubmitInput`. */
export const typeNameOf = (name: string): string =>
  name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('');

const neverNull = 'May be left out; never null.';
const options = ['anyOf', 'oneOf', 'allOf'] as const;

/** The schema with a title, as has each object, alternative and enum in it: a name that no other shape of the contract has. */
export function withTitles(schema: JsonSchema, title: string): JsonSchema {
  const named: JsonSchema = isNamed(schema) ? { title, ...schema } : { ...schema };
  const required = (schema['required'] ?? []) as string[];
  if (schema['properties'] !== undefined)
    named['properties'] = Object.fromEntries(
      Object.entries(schema['properties'] as Record<string, JsonSchema>).map(([field, inner]) => {
        const titled = withTitles(inner, `${title}${typeNameOf(field)}`);
        return [field, required.includes(field) ? titled : withoutNull(titled)];
      }),
    );
  for (const keyword of ['items', 'additionalProperties'])
    if (isSchema(schema[keyword])) named[keyword] = withTitles(schema[keyword], `${title}Item`);
  for (const keyword of options)
    if (schema[keyword] !== undefined)
      named[keyword] = (schema[keyword] as JsonSchema[]).map((option) =>
        withTitles(option, `${title}${suffixOf(option)}`),
      );
  return named;
}

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;

/** A reference has the name of what it refers to; plain texts and numbers need none. An alternative of null and one other is an optional field's. */
function isNamed(schema: JsonSchema): boolean {
  if (schema['enum'] !== undefined || schema['properties'] !== undefined) return true;
  const alternatives = (schema['oneOf'] ?? schema['anyOf'] ?? []) as JsonSchema[];
  return alternatives.filter(({ type }) => type !== 'null').length > 1;
}

/** What tells an alternative from the others: its kind, or else its first field. */
function suffixOf(option: JsonSchema): string {
  const properties = (option['properties'] ?? {}) as Record<string, JsonSchema>;
  const kind = Object.values(properties).find(({ const: constant }) => constant !== undefined)?.['const'];
  if (typeof kind === 'string') return typeNameOf(kind);
  const [first] = Object.keys(properties);
  if (first !== undefined) return `By${typeNameOf(first)}`;
  return option['enum'] === undefined ? '' : 'Name';
}

/** Of a field that may be left out: whether null says the same. */
function withoutNull(field: JsonSchema): JsonSchema {
  const { description } = field;
  if (takesNull(field) || typeof description !== 'string') return field;
  return { ...field, description: `${description} ${neverNull}` };
}

function takesNull({ type, anyOf, ...rest }: JsonSchema): boolean {
  if (type === 'null' || (Array.isArray(type) && type.includes('null'))) return true;
  if (anyOf !== undefined) return (anyOf as JsonSchema[]).some(takesNull);
  // What nothing is said of takes anything.
  return type === undefined && !['const', 'enum', 'oneOf', 'allOf', '$ref'].some((keyword) => keyword in rest);
}
