/** Requests an answer in a given format, by a JSON Schema if the model accepts one, else by an instruction. */
import type { ModelSettings } from '@coppice/contracts';
import type { ModelTraits } from './models.ts';

type ResponseFormat = NonNullable<ModelSettings['responseFormat']>;
type JsonSchema = Readonly<Record<string, unknown>>;

/** The caller adds the instruction to the system messages. */
export function formatOf(
  format: ResponseFormat | undefined,
  { schema: takesSchema }: ModelTraits,
): { schema: JsonSchema | null; instruction: string | null } {
  if (format === undefined || format.type === 'text') return { schema: null, instruction: null };
  if (format.type === 'json') return { schema: null, instruction: 'Answer with one JSON object and nothing else.' };
  if (takesSchema) return { schema: acceptableSchema(format.schema), instruction: null };
  const about = format.description === undefined ? '' : ` It is ${format.description}`;
  const instruction = `Answer with one JSON value and nothing else.${about} It has to fit this JSON Schema: ${JSON.stringify(format.schema)}`;
  return { schema: null, instruction };
}

/** Keywords that the API rejects. Like the vendor's own libraries, the gateway moves them to the description. */
const refused: ReadonlySet<string> = new Set([
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
]);
const ofSchemas: ReadonlySet<string> = new Set(['anyOf', 'allOf', 'oneOf', 'prefixItems']);
const ofNamedSchemas: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions']);
const deepest = 64;

/**
 * Converts a schema to one that the API accepts. Its objects allow no additional properties, and the descriptions
 * contain the rejected keywords.
 */
function acceptableSchema(schema: JsonSchema, depth = 0): JsonSchema {
  // The API rejects a schema of this depth anyway.
  if (depth > deepest) return schema;
  const inner = (value: unknown): unknown => (isSchema(value) ? acceptableSchema(value, depth + 1) : value);
  const kept: Record<string, unknown> = {};
  const described: string[] = [];
  for (const [keyword, value] of Object.entries(schema)) {
    if (refused.has(keyword) || (keyword === 'minItems' && Number(value) > 1)) {
      described.push(`${keyword}: ${JSON.stringify(value)}`);
    } else if (ofSchemas.has(keyword) && Array.isArray(value)) kept[keyword] = value.map(inner);
    else if (ofNamedSchemas.has(keyword) && isSchema(value)) kept[keyword] = mapped(value, inner);
    else kept[keyword] = keyword === 'items' ? inner(value) : value;
  }
  if (described.length > 0) {
    const own = typeof schema['description'] === 'string' ? `${schema['description']} ` : '';
    kept['description'] = `${own}(${described.join(', ')})`;
  }
  const { additionalProperties } = schema;
  const open = additionalProperties === undefined || additionalProperties === true;
  if (open && (schema['type'] === 'object' || isSchema(schema['properties']))) kept['additionalProperties'] = false;
  return kept;
}

const mapped = (schemas: JsonSchema, change: (schema: unknown) => unknown): JsonSchema =>
  Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, change(schema)]));

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
