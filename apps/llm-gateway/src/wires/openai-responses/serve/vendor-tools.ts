/**
 * Maps the items of tools that OpenAI itself runs during an answer. Other wire formats have no such tools, so the
 * results become text of the model.
 */
import { acceptableName } from '../../acceptable-history.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import type { Item } from './schemas.ts';

const types: ReadonlySet<string> = new Set([
  'web_search_call',
  'file_search_call',
  'code_interpreter_call',
  'mcp_call',
  'mcp_list_tools',
]);

export const ranByVendor = ({ type }: Item): boolean => types.has(String(type));

/**
 * Returns a text with the tool's name, and its results or the reason why it failed. Returns null if the item contains
 * neither as text. The item of a web search doesn't.
 */
export function foundBy({ type, name, output, results, outputs, error }: Item): string | null {
  const label = acceptableName(typeof name === 'string' ? name : String(type).replace(/_call$/, ''));
  const parts = [
    { how: 'returned', texts: [output, results, outputs].flatMap(textsIn) },
    { how: 'failed', texts: textsIn(error) },
  ].filter(({ texts }) => texts.length > 0);
  return parts.length === 0
    ? null
    : parts.map(({ how, texts }) => `${label} ${how}:\n${texts.join('\n\n')}`).join('\n\n');
}

/** Returns all texts in a result of any form. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return value.trim() === '' ? [] : [value.trimEnd()];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  if (typeof value !== 'object' || value === null) return [];
  const { text, logs, message, content } = fieldsOf(value);
  return [text, logs, message, content].flatMap(textsIn);
}
