/** Fields whose content is the client's own, names and all. */
const opaque = new Set([
  'args',
  'response',
  'parameters',
  'parametersJsonSchema',
  'responseSchema',
  'responseJsonSchema',
  '_responseJsonSchema',
]);

/** Names of fields as the vendor's documents write them: it takes `system_instruction` for `systemInstruction`, too. */
export function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, inner]) => {
    const camel = name.replaceAll(/(?<=[a-zA-Z0-9])_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return [camel, opaque.has(camel) ? inner : camelCased(inner)] as const;
  });
  return Object.fromEntries(entries);
}
