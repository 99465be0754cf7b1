import { CoppiceError } from '@coppice/contracts';
import type { Owner } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import type { ExchangeResult } from '../exchange/exchange.ts';
import { toUsage } from '../usage.ts';

/** `asked`: the model, as the client named it. */
type CallAbout = { door: 'http' | 'bus'; owner: Owner; effectId: string; asked: string };

/** Clients choose it. */
const nameCharactersMax = 255;

/**
 * One line for each call at a door, once it has ended, with whose it was and what it used: a turn is in its task's transcript and events, such a call is
 * nowhere else. Nothing that was asked or answered is told, nor an error's words, which may quote it.
 */
export async function loggedCall<Outcome>(
  log: Pick<Logger, 'info'>,
  { asked, ...about }: CallAbout,
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
    const told = {
      ...about,
      asked: asked.slice(0, nameCharactersMax),
      model: modelOf(result),
      usage: toUsage(usage),
      attempts: attempts.length,
      cached,
      latencyMs,
      queuedMs,
      ...(error === null ? {} : { error }),
    };
    log.info(told, error === null ? 'a call was answered' : 'a call was not answered');
  }
}

/** Who answered, or was asked last, as `provider/model`; null where nobody was asked. */
export const modelOf = ({ provider, model }: Pick<ExchangeResult, 'provider' | 'model'>): string | null =>
  provider === null ? null : `${provider}/${model}`.slice(0, nameCharactersMax);
