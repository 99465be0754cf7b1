import { CoppiceError } from '@coppice/contracts';
import type { Owner } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import type { ExchangeResult } from '../routing/exchange.ts';
import { toUsage } from '../usage.ts';

type CallAbout = { endpoint: 'http' | 'bus'; owner: Owner; effectId: string; requestedModel: string };

/** Limit for model names in the log, since clients may send long names. */
const nameCharactersMax = 255;

/**
 * Runs a client's call and then logs one line with its owner and usage, since such a call is recorded nowhere else.
 * Logs no error message, since the message may quote the request or the answer.
 */
export async function loggedCall<Outcome>(
  log: Pick<Logger, 'info'>,
  { requestedModel, ...about }: CallAbout,
  result: Readonly<ExchangeResult>,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  let error: string | null = null;
  try {
    return await work();
  } catch (thrown) {
    error = thrown instanceof CoppiceError ? thrown.code : 'internal';
    throw thrown;
  } finally {
    const { usage, attempts, cached, latencyMs, queuedMs } = result;
    const line = {
      ...about,
      requestedModel: requestedModel.slice(0, nameCharactersMax),
      model: modelOf(result),
      usage: toUsage(usage),
      attempts: attempts.length,
      cached,
      latencyMs,
      queuedMs,
      ...(error === null ? {} : { error }),
    };
    log.info(line, error === null ? 'a call was answered' : 'a call was not answered');
  }
}

/**
 * Returns the `provider/model` that answered. If none answered, returns the one that received the last request, or null
 * if no request was sent.
 */
export const modelOf = ({ provider, model }: Pick<ExchangeResult, 'provider' | 'model'>): string | null =>
  provider === null ? null : `${provider}/${model}`.slice(0, nameCharactersMax);
