/** A custom tool's input is free text. Other wires know tools with arguments in JSON alone: there it is one with a single text. */
import { jsonOf } from '../../../provider/http/json.ts';
import { fieldsOf } from '../fields.ts';
import type { ResponsesRequest } from './schemas.ts';

export const customParameters = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
  additionalProperties: false,
};

export const customNames = ({ tools }: ResponsesRequest): ReadonlySet<string> =>
  new Set((tools ?? []).flatMap(({ type, name }) => (type === 'custom' && typeof name === 'string' ? [name] : [])));

/** What its text must look like is told in its description, since nothing enforces it there. */
export function customDescription(description: string, format: unknown): string {
  const { type, syntax, definition } = fieldsOf(format);
  if (type !== 'grammar' || typeof definition !== 'string') return description;
  return `${description}\n\nThe input keeps to this grammar (${String(syntax)}):\n${definition}`.trim();
}

export const customArguments = (input: string): string => JSON.stringify({ input });

/** What the model wrote where it left the form out. */
export function customInput(text: string): string {
  const { input } = fieldsOf(jsonOf(text));
  return typeof input === 'string' ? input : text;
}
