/** What a model wrote once, in a form in which servers take it back: what they refuse would refuse the conversation for ever. */
import { jsonOf } from './http/json.ts';

/** A tool's name, which the model may have made up. */
export const acceptableName = (name: string): string =>
  name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'unnamed';

/** A call's arguments. Those that aren't a JSON object stand inside one, as the model wrote them. */
export const argumentsObject = (text: string): object =>
  objectIn(text) ?? (text.trim() === '' ? {} : { malformedArguments: text });

function objectIn(text: string): object | null {
  const value = jsonOf(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}
