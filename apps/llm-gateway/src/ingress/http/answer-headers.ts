import type { ExchangeResult } from '../../routing/exchange.ts';
import { modelOf } from '../call-log.ts';

/** The gateway sends `hit` with an answer from the cache. A client sends `off` to prevent an answer from the cache. */
export const cacheHeader = 'x-coppice-cache';

const modelHeader = 'x-coppice-model';
const costHeader = 'x-coppice-cost-usd';
const attemptsHeader = 'x-coppice-attempts';

export type CallResult = Pick<ExchangeResult, 'provider' | 'model' | 'costUsd' | 'attempts' | 'cached'>;

/**
 * Returns the headers of a streamed answer. Once the first delta has arrived, they state the model and whether the
 * answer is cached.
 */
export function streamHeaders(result: CallResult): Record<string, string> {
  const headers: Record<string, string> = {};
  const model = modelOf(result);
  if (model !== null) headers[modelHeader] = inHeader(model);
  if (result.cached) headers[cacheHeader] = 'hit';
  return headers;
}

/** Returns the headers of a call that has succeeded or failed. */
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
