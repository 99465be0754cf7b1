/**
 * Adds titles to schemas, which generators use as names of types. Adds a note to each optional field that can't be
 * null.
 */
import type { JsonSchema } from '@coppice/contracts';

/** Converts a message name to a type name, such as `run.submit.input` to `RunSubmitInput`. */
export const typeNameOf = (name: string): string =>
  name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('');

const neverNull = 'May be left out; never null.';
const options = ['anyOf', 'oneOf', 'allOf'] as const;

/**
 * Returns the schema with a title for itself and for each object, union and enum in it. No two different shapes of the
 * contract have the same title.
 */
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

/**
 * Returns true for objects, enums and unions. References have the name of their target. Strings, numbers, and unions of
 * one type with null need no name.
 */
function isNamed(schema: JsonSchema): boolean {
  if (schema['enum'] !== undefined || schema['properties'] !== undefined) return true;
  const alternatives = (schema['oneOf'] ?? schema['anyOf'] ?? []) as JsonSchema[];
  return alternatives.filter(({ type }) => type !== 'null').length > 1;
}

/** Returns what distinguishes a member of a union, which is its first constant or otherwise its first field. */
function suffixOf(option: JsonSchema): string {
  const properties = (option['properties'] ?? {}) as Record<string, JsonSchema>;
  const kind = Object.values(properties).find(({ const: constant }) => constant !== undefined)?.['const'];
  if (typeof kind === 'string') return typeNameOf(kind);
  const [first] = Object.keys(properties);
  if (first !== undefined) return `By${typeNameOf(first)}`;
  return option['enum'] === undefined ? '' : 'Name';
}

/** Adds a note that null isn't allowed to an optional field, unless the field accepts null. */
function withoutNull(field: JsonSchema): JsonSchema {
  const { description } = field;
  if (takesNull(field) || typeof description !== 'string') return field;
  return { ...field, description: `${description} ${neverNull}` };
}

function takesNull({ type, anyOf, ...rest }: JsonSchema): boolean {
  if (type === 'null' || (Array.isArray(type) && type.includes('null'))) return true;
  if (anyOf !== undefined) return (anyOf as JsonSchema[]).some(takesNull);
  // A schema without constraints accepts anything.
  return type === undefined && !['const', 'enum', 'oneOf', 'allOf', '$ref'].some((keyword) => keyword in rest);
}
