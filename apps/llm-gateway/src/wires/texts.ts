import type { ProviderImage, ProviderPart } from '../provider/port.ts';

/** Joins all texts with blank lines, for wire formats that accept a single text. */
export const textsApart = (content: readonly ProviderPart[]): string =>
  content.flatMap((part) => (part.type === 'text' && part.text !== '' ? [part.text] : [])).join('\n\n');

/**
 * Joins the texts of an answer without separators. They are slices of one text, which a signature may have cut, for
 * example.
 */
export const answerText = (content: readonly ProviderPart[]): string =>
  content.map((part) => (part.type === 'text' ? part.text : '')).join('');

/** Marks errors in the text, for wire formats without a field for them. */
export const resultText = ({ content, isError }: Extract<ProviderPart, { type: 'tool-result' }>): string =>
  isError && !/^error/i.test(content) ? `Error: ${content}` : content;

/** Returns a `data:` URL for an inline image. */
export const imageUrl = (image: ProviderImage): string =>
  'url' in image ? image.url : `data:${image.mediaType};base64,${image.base64}`;
