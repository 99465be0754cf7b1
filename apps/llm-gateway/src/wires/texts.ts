import type { ProviderImage, ProviderPart } from '../provider/port.ts';

/** All texts as one, for wire formats that take a single text. Parts are separated by a blank line. */
export const textsApart = (content: readonly ProviderPart[]): string =>
  content.flatMap((part) => (part.type === 'text' && part.text !== '' ? [part.text] : [])).join('\n\n');

/** The text of an answer. Its parts are slices of one text, cut at a signature for instance, so nothing separates them. */
export const answerText = (content: readonly ProviderPart[]): string =>
  content.map((part) => (part.type === 'text' ? part.text : '')).join('');

/** The text of a tool's result, for wire formats without an error flag. */
export const resultText = ({ content, isError }: Extract<ProviderPart, { type: 'tool-result' }>): string =>
  isError && !/^error/i.test(content) ? `Error: ${content}` : content;

/** The image's address; a `data:` URL if it is inline. */
export const imageUrl = (image: ProviderImage): string =>
  'url' in image ? image.url : `data:${image.mediaType};base64,${image.base64}`;
