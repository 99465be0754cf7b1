import { unpack } from '../../../ingress/http/foreign-signature.ts';
import type { Item, ResponsesRequest } from './schemas.ts';

/** Removes reasoning of other providers, which OpenAI rejects. */
export const withoutForeign = (request: ResponsesRequest): ResponsesRequest =>
  Array.isArray(request.input) ? { ...request, input: request.input.filter((item) => !isForeign(item)) } : request;

function isForeign(item: Item): boolean {
  const signed = item.type === 'reasoning' ? item['encrypted_content'] : null;
  return typeof signed === 'string' && unpack(signed) !== null;
}
