import { z } from 'zod';

/** A JSON Schema of draft 7, which AsyncAPI and most validators know. */
export type JsonSchema = Record<string, unknown>;

/**
 * What is accepted on the wire: a field with a default may be left out, and what comes of the value afterwards isn't said. What no JSON Schema can
 * say (a length in bytes, a range of durations) is left out.
 */
const wire = { io: 'input', target: 'draft-07' } as const;

/** One schema, whole. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return withoutMarks(z.toJSONSchema(schema, wire));
}

/**
 * Several schemas that refer to each other wherever one holds another.
 * @param location where a schema is found by its name: what goes into `$ref`
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
