import { z } from 'zod';

type AnySchema = z.core.$ZodType;

/**
 * Returns a copy of the schema in which no object accepts unknown fields. In a request to the public API, a misspelt
 * field must be rejected. Between services, unknown fields are ignored, since services are upgraded one by one.
 */
export const strictly = <Schema extends z.ZodType>(schema: Schema): Schema => strict(schema) as Schema;

/** One copy for each schema, so that the published contract contains the copy once. */
const copies = new WeakMap<AnySchema, AnySchema>();

function strict(schema: AnySchema): AnySchema {
  const copy = copies.get(schema) ?? strictCopy(schema);
  copies.set(schema, copy);
  return copy;
}

function strictCopy(schema: AnySchema): AnySchema {
  if (schema instanceof z.ZodObject) {
    const fields = Object.entries<AnySchema>(schema.shape).map(([name, field]) => [name, strict(field)]);
    return changed(schema, { shape: Object.fromEntries(fields), catchall: z.never() });
  }
  if (schema instanceof z.ZodArray) return changed(schema, { element: strict(schema.element) });
  if (schema instanceof z.ZodUnion) return changed(schema, { options: schema.options.map(strict) });
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return changed(schema, { innerType: strict(schema.unwrap()) });
  return schema;
}

/**
 * Clones a schema with its description and checks. The clone isn't a child of the original, since the published schema
 * of the original accepts unknown fields.
 */
function changed(schema: z.ZodType, by: object): AnySchema {
  const copy = z.clone(schema, z.util.mergeDefs(schema.def, by) as typeof schema.def);
  const said = z.globalRegistry.get(schema);
  if (said !== undefined) z.globalRegistry.add(copy, said);
  return copy;
}
