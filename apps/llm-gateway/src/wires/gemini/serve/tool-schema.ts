import { fieldsOf } from '../../../ingress/http/fields.ts';

const numbers = new Set(['minItems', 'maxItems', 'minLength', 'maxLength', 'minProperties', 'maxProperties']);

/**
 * Converts a schema to JSON Schema. The vendor's variant of OpenAPI has types in capitals, `nullable`, and integers as
 * strings.
 */
export function jsonSchemaOf(schema: unknown): Record<string, unknown> {
  const { nullable, ...rest } = fieldsOf(schema);
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(rest)) out[name] = keyword(name, value);
  if (nullable === true && typeof out['type'] === 'string') out['type'] = [out['type'], 'null'];
  return out;
}

function keyword(name: string, value: unknown): unknown {
  if (name === 'type') return typeof value === 'string' ? value.toLowerCase() : value;
  if (name === 'items') return jsonSchemaOf(value);
  if (name === 'anyOf' && Array.isArray(value)) return value.map(jsonSchemaOf);
  if (name === 'properties') {
    const properties = Object.entries(fieldsOf(value));
    return Object.fromEntries(properties.map(([property, inner]) => [property, jsonSchemaOf(inner)]));
  }
  return numbers.has(name) && typeof value === 'string' ? Number(value) : value;
}
