import { z } from 'zod';

/** A JSON Schema of draft 7, which AsyncAPI and most validators support. */
export type JsonSchema = Record<string, unknown>;

/**
 * Options for a schema of what is accepted on the wire. A field with a default is optional, and transforms are ignored.
 * Constraints that JSON Schema can't express, such as a length in bytes, are left out.
 */
const wire = { io: 'input', target: 'draft-07' } as const;

/** Converts one schema to a self-contained JSON Schema. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return withoutMarks(z.toJSONSchema(schema, wire));
}

/**
 * Converts several schemas. A schema that contains another one of them refers to it by `$ref`.
 * @param location returns the `$ref` of a schema by its name
 */
export function jsonSchemasOf(
  schemas: Readonly<Record<string, z.ZodType>>,
  location: (name: string) => string,
): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const made = z.toJSONSchema(registry, { ...wire, uri: location }).schemas;
  return Object.fromEntries(Object.entries(made).map(([name, schema]) => [name, withoutMarks(schema)]));
}

function withoutMarks(schema: object): JsonSchema {
  const { $schema: _dialect, $id: _id, '~standard': _standard, ...rest } = schema as JsonSchema;
  return rest;
}
