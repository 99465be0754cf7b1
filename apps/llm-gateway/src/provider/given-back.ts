/** What a model wrote once, in a form in which servers take it back: what they refuse would refuse the conversation for ever. */
import { createHash } from 'node:crypto';
import { jsonOf } from './http/json.ts';

/** A tool's name, which the model may have made up. */
export const acceptableName = (name: string): string =>
  name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';

/** `pattern`: those that are taken as they are; of the others a digest of so many characters is. */
export type CallIds = { pattern: RegExp; characters: number };

/** They may tell a server more than which call is meant: LiteLLM puts signatures there, and Kimi's models read their own. */
export const anyId: CallIds = { pattern: /^/, characters: 40 };

/** The id of a call that another provider made, of a form perhaps that this one refuses. The same id gives the same. */
export const acceptableCallId = (id: string, { pattern, characters }: CallIds): string =>
  pattern.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, characters);

/** A call's arguments. Those that aren't a JSON object stand inside one, as the model wrote them. */
export const argumentsObject = (text: string): object =>
  objectIn(text) ?? (text.trim() === '' ? {} : { malformedArguments: text });

/** The same as text: an object stays as it is written. */
export const argumentsText = (text: string): string =>
  objectIn(text) === null ? JSON.stringify(argumentsObject(text)) : text;

function objectIn(text: string): object | null {
  const value = jsonOf(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}
