/** Response headers that describe the call. */
import type { ExchangeResult } from '../../routing/exchange.ts';
import { modelOf } from '../call-log.ts';

/** Header with the value `hit` in a response from the cache, or `off` in a request that must not be answered from the cache. */
export const cacheHeader = 'x-coppice-cache';

/** Header with the model that answered. If the call has ended, two more headers have its cost, if known, and the number of requests to providers. */
const modelHeader = 'x-coppice-model';
const costHeader = 'x-coppice-cost-usd';
const attemptsHeader = 'x-coppice-attempts';

export type CallResult = Pick<ExchangeResult, 'provider' | 'model' | 'costUsd' | 'attempts' | 'cached'>;

/** Returns the headers of a stream. The model and a cache hit are known when the first delta arrives. */
export function streamHeaders(result: CallResult): Record<string, string> {
  const headers: Record<string, string> = {};
  const model = modelOf(result);
  if (model !== null) headers[modelHeader] = inHeader(model);
  if (result.cached) headers[cacheHeader] = 'hit';
  return headers;
}

/** Returns the headers of a call that has ended, successfully or not. */
export function wholeAnswerHeaders(result: CallResult): Record<string, string> {
  const { costUsd, attempts } = result;
  const headers = streamHeaders(result);
  if (costUsd !== null) headers[costHeader] = String(costUsd);
  headers[attemptsHeader] = String(attempts.length);
  return headers;
}

/** Percent-encodes characters that a header can't contain. */
const inHeader = (text: string): string =>
  /^[\x21-\x7e]*$/.test(text)
    ? text
    : text.replaceAll(/[^\x21-\x7e]+/g, (others) => encodeURIComponent(others.toWellFormed()));
