import { CoppiceError } from '@coppice/contracts';
import type { Owner } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import type { ExchangeResult } from '../routing/exchange.ts';
import { toUsage } from '../usage.ts';

/** `requestedModel` is the name that the client used. */
type CallAbout = { endpoint: 'http' | 'bus'; owner: Owner; effectId: string; requestedModel: string };

/** Limit for names in the log, since clients choose the model's name. */
const nameCharactersMax = 255;

/**
 * Runs a call of an endpoint and then logs one line with its owner and usage, since these calls are recorded nowhere else. (An agent's model calls are in the
 * task's transcript and events.) The request, the answer and the error's message aren't logged, since the message may quote the request or the answer.
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

/** Returns the `provider/model` that answered or received the last request; null if no request was sent. */
export const modelOf = ({ provider, model }: Pick<ExchangeResult, 'provider' | 'model'>): string | null =>
  provider === null ? null : `${provider}/${model}`.slice(0, nameCharactersMax);
