import type { ProviderPart } from './port.ts';

/** The texts where one has to stand for them all: a blank line keeps apart what was said apart. */
export const textsApart = (content: readonly ProviderPart[]): string =>
  content.flatMap((part) => (part.type === 'text' && part.text !== '' ? [part.text] : [])).join('\n\n');

/** The text of an answer, whose parts are cuts of it, as at a signature. */
export const answerText = (content: readonly ProviderPart[]): string =>
  content.map((part) => (part.type === 'text' ? part.text : '')).join('');
