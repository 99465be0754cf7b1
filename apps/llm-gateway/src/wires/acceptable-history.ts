/**
 * Converts names, ids and arguments that a model wrote to a form that servers accept. Each later request of the
 * conversation repeats them, so a server that rejects one of them would reject all of these requests.
 */
import { createHash } from 'node:crypto';
import { jsonOf } from '../transport/json.ts';

/** Converts the name of a tool, which the model may have invented, to a name that servers accept. */
export const acceptableName = (name: string): string =>
  name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';

/**
 * The call ids that a server accepts. If an id doesn't match `pattern`, a digest of `characters` characters replaces
 * it.
 */
export type CallIds = { pattern: RegExp; characters: number };

/**
 * Accepts every id, since an id may contain information for the server. LiteLLM puts signatures into ids, and Kimi's
 * models parse their own ids.
 */
export const anyId: CallIds = { pattern: /^/, characters: 40 };

/**
 * Converts the id of another provider's tool call to an id that this provider accepts. The same id always gives the
 * same result.
 */
export const acceptableCallId = (id: string, { pattern, characters }: CallIds): string =>
  pattern.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, characters);

/**
 * Returns a tool call's arguments as an object. Text that isn't a JSON object becomes the field `malformedArguments`.
 */
export const argumentsObject = (text: string): object =>
  objectIn(text) ?? (text.trim() === '' ? {} : { malformedArguments: text });

/** Returns the arguments unchanged if they are a JSON object, else the text of an object that contains them. */
export const argumentsText = (text: string): string =>
  objectIn(text) === null ? JSON.stringify(argumentsObject(text)) : text;

function objectIn(text: string): object | null {
  const value = jsonOf(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}
