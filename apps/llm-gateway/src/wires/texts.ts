import type { ProviderImage, ProviderPart } from '../provider/port.ts';

/** Joins all texts, for wire formats that accept a single text. A blank line separates the parts. */
export const textsApart = (content: readonly ProviderPart[]): string =>
  content.flatMap((part) => (part.type === 'text' && part.text !== '' ? [part.text] : [])).join('\n\n');

/** Joins the texts of an answer. They are slices of one text, which was cut at a signature, for instance, so nothing separates them. */
export const answerText = (content: readonly ProviderPart[]): string =>
  content.map((part) => (part.type === 'text' ? part.text : '')).join('');

/** Returns the text of a tool's result, for wire formats without a field for errors. */
export const resultText = ({ content, isError }: Extract<ProviderPart, { type: 'tool-result' }>): string =>
  isError && !/^error/i.test(content) ? `Error: ${content}` : content;

/** Returns the image's URL; a `data:` URL for an inline image. */
export const imageUrl = (image: ProviderImage): string =>
  'url' in image ? image.url : `data:${image.mediaType};base64,${image.base64}`;
