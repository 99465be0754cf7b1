/**
 * Maps custom tools, whose input is free text. Other wire formats have only tools with JSON arguments, so a custom tool
 * becomes a tool with one argument of type string.
 */
import { jsonOf } from '../../../transport/json.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import type { ResponsesRequest } from './schemas.ts';

export const customParameters = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
  additionalProperties: false,
};

export const customNames = ({ tools }: ResponsesRequest): ReadonlySet<string> =>
  new Set((tools ?? []).flatMap(({ type, name }) => (type === 'custom' && typeof name === 'string' ? [name] : [])));

/** Adds the grammar of the input to the description, since other wire formats can't enforce it. */
export function customDescription(description: string, format: unknown): string {
  const { type, syntax, definition } = fieldsOf(format);
  if (type !== 'grammar' || typeof definition !== 'string') return description;
  return `${description}\n\nThe input keeps to this grammar (${String(syntax)}):\n${definition}`.trim();
}

export const customArguments = (input: string): string => JSON.stringify({ input });

/** Returns the tool's input. If the model didn't write the expected JSON, returns what it wrote. */
export function customInput(text: string): string {
  const { input } = fieldsOf(jsonOf(text));
  return typeof input === 'string' ? input : text;
}
