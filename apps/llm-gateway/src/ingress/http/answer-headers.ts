/** Response headers that describe the call. */
import type { ExchangeResult } from '../../routing/exchange.ts';
import { modelOf } from '../call-log.ts';

/** `hit` in a response from the cache; `off` in a request that must not be answered from it. */
export const cacheHeader = 'x-coppice-cache';

/** The model that answered; for a call that has ended also its cost, if known, and the number of requests to providers. */
const modelHeader = 'x-coppice-model';
const costHeader = 'x-coppice-cost-usd';
const attemptsHeader = 'x-coppice-attempts';

export type CallResult = Pick<ExchangeResult, 'provider' | 'model' | 'costUsd' | 'attempts' | 'cached'>;

/** Headers of a stream: the model and a cache hit are known with the first delta. */
export function streamHeaders(result: CallResult): Record<string, string> {
  const headers: Record<string, string> = {};
  const model = modelOf(result);
  if (model !== null) headers[modelHeader] = inHeader(model);
  if (result.cached) headers[cacheHeader] = 'hit';
  return headers;
}

/** Headers of a call that has ended, including a failed one. */
export function wholeAnswerHeaders(result: CallResult): Record<string, string> {
  const { costUsd, attempts } = result;
  const headers = streamHeaders(result);
  if (costUsd !== null) headers[costHeader] = String(costUsd);
  headers[attemptsHeader] = String(attempts.length);
  return headers;
}

/** Percent-encodes characters that a header can't hold. */
const inHeader = (text: string): string =>
  /^[\x21-\x7e]*$/.test(text)
    ? text
    : text.replaceAll(/[^\x21-\x7e]+/g, (others) => encodeURIComponent(others.toWellFormed()));
