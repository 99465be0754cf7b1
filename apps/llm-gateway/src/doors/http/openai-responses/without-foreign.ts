import { unpack } from '../foreign-signature.ts';
import type { Item, ResponsesRequest } from './schemas.ts';

/** The request without what other providers thought in this conversation, which OpenAI refuses, and else as it came. */
export const withoutForeign = (request: ResponsesRequest): ResponsesRequest =>
  Array.isArray(request.input) ? { ...request, input: request.input.filter((item) => !isForeign(item)) } : request;

function isForeign(item: Item): boolean {
  const signed = item.type === 'reasoning' ? item['encrypted_content'] : null;
  return typeof signed === 'string' && unpack(signed) !== null;
}
