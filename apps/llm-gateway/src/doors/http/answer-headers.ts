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
  const model = modelOf(result);
  return {
    ...(model === null ? {} : { [modelHeader]: inHeader(model) }),
    ...(result.cached ? { [cacheHeader]: 'hit' } : {}),
  };
}

/** Of a call that is over, a failed one too. */
export function wholeAnswerHeaders(result: CallResult): Record<string, string> {
  const { costUsd, attempts } = result;
  return {
    ...streamHeaders(result),
    ...(costUsd === null ? {} : { [costHeader]: String(costUsd) }),
    [attemptsHeader]: String(attempts.length),
  };
}

/** A header takes no more than these characters as they are. */
const inHeader = (text: string): string =>
  text.replaceAll(/[^\x21-\x7e]+/g, (others) => encodeURIComponent(others.toWellFormed()));
