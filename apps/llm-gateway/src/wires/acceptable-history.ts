/** Converts what a model wrote to a form that servers accept in a request, since a rejected part would make every later request of the conversation fail. */
import { createHash } from 'node:crypto';
import { jsonOf } from '../transport/json.ts';

/** Converts a tool's name, which the model may have invented. */
export const acceptableName = (name: string): string =>
  name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';

/** The call ids that a server accepts. Ids that match `pattern` are sent unchanged. Others are replaced by a digest of `characters` characters. */
export type CallIds = { pattern: RegExp; characters: number };

/** Sends all ids unchanged, since ids may contain information for the server: LiteLLM puts signatures into them, and Kimi's models parse their own. */
export const anyId: CallIds = { pattern: /^/, characters: 40 };

/** Converts the id of another provider's tool call to a form that this provider accepts. Deterministic. */
export const acceptableCallId = (id: string, { pattern, characters }: CallIds): string =>
  pattern.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, characters);

/** Returns a tool call's arguments as an object. Text that isn't a JSON object is put into one. */
export const argumentsObject = (text: string): object =>
  objectIn(text) ?? (text.trim() === '' ? {} : { malformedArguments: text });

/** Returns a tool call's arguments as the text of a JSON object. Text that is a JSON object stays unchanged. */
export const argumentsText = (text: string): string =>
  objectIn(text) === null ? JSON.stringify(argumentsObject(text)) : text;

function objectIn(text: string): object | null {
  const value = jsonOf(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}
