/** Converts what a model wrote into a form that servers accept in a request. A rejected part would fail every later request of the conversation. */
import { createHash } from 'node:crypto';
import { jsonOf } from '../transport/json.ts';

/** A tool's name; the model may have made it up. */
export const acceptableName = (name: string): string =>
  name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';

/** `pattern`: the ids that are sent unchanged. Others are replaced by a digest of `characters` characters. */
export type CallIds = { pattern: RegExp; characters: number };

/** Ids may carry information for the server: LiteLLM puts signatures into them, and Kimi's models parse their own. */
export const anyId: CallIds = { pattern: /^/, characters: 40 };

/** The id of a call that another provider made, in a form that this provider accepts. Deterministic. */
export const acceptableCallId = (id: string, { pattern, characters }: CallIds): string =>
  pattern.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, characters);

/** A call's arguments as an object. Text that isn't a JSON object is wrapped in one. */
export const argumentsObject = (text: string): object =>
  objectIn(text) ?? (text.trim() === '' ? {} : { malformedArguments: text });

/** `argumentsObject` as text. A text that is a JSON object stays unchanged. */
export const argumentsText = (text: string): string =>
  objectIn(text) === null ? JSON.stringify(argumentsObject(text)) : text;

function objectIn(text: string): object | null {
  const value = jsonOf(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}
