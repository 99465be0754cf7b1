/** What an answer's headers tell of the call. */
import type { ExchangeResult } from '../../exchange/exchange.ts';
import { modelOf } from '../call-log.ts';

/** `hit` on an answer that is an earlier one; `off` on a request that wants none. */
export const cacheHeader = 'x-coppice-cache';

/** Of an answer: who gave it, and of a whole one what it cost, where that is known, and how often a provider was asked. */
const modelHeader = 'x-coppice-model';
const costHeader = 'x-coppice-cost-usd';
const attemptsHeader = 'x-coppice-attempts';

export type CallResult = Pick<ExchangeResult, 'provider' | 'model' | 'costUsd' | 'attempts' | 'cached'>;

/** Of a stream: who answers, and whether it is an earlier answer, is known with its first delta. */
export function streamHeaders(result: CallResult): Record<string, string> {
  const headers: Record<string, string> = {};
  const model = modelOf(result);
  if (model !== null) headers[modelHeader] = inHeader(model);
  if (result.cached) headers[cacheHeader] = 'hit';
  return headers;
}

/** Of a call that is over, a failed one too. */
export function wholeAnswerHeaders(result: CallResult): Record<string, string> {
  const { costUsd, attempts } = result;
  const headers = streamHeaders(result);
  if (costUsd !== null) headers[costHeader] = String(costUsd);
  headers[attemptsHeader] = String(attempts.length);
  return headers;
}

/** A header takes no more than these characters as they are. */
const inHeader = (text: string): string =>
  /^[\x21-\x7e]*$/.test(text)
    ? text
    : text.replaceAll(/[^\x21-\x7e]+/g, (others) => encodeURIComponent(others.toWellFormed()));
