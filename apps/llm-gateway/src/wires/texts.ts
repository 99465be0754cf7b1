import type { ProviderPart } from '../provider/port.ts';

/** All texts as one, for wire formats that take a single text. Parts are separated by a blank line. */
export const textsApart = (content: readonly ProviderPart[]): string =>
  content.flatMap((part) => (part.type === 'text' && part.text !== '' ? [part.text] : [])).join('\n\n');

/** The text of an answer. Its parts are slices of one text, cut at a signature for instance, so nothing separates them. */
export const answerText = (content: readonly ProviderPart[]): string =>
  content.map((part) => (part.type === 'text' ? part.text : '')).join('');
