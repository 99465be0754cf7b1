import { CoppiceError } from '@coppice/contracts';
import type { FinishReason, ModelDelta, UsageSoFar } from './provider/port.ts';

/** What one attempt came to. A failure tells whether output had begun, and what had been used by then: it is paid for all the same. */
export type Attempt =
  | { status: 'complete'; text: string; finishReason: FinishReason; responseModel: string | null; usage: UsageSoFar }
  | { status: 'failed'; error: CoppiceError; outputBegan: boolean; usage: UsageSoFar };

export type CollectSettings = { provider: string; signal: AbortSignal; textBytesMax: number };

/** Reads a provider's stream to its end; never throws. Doesn't wait for a provider that ignores its signal. */
export async function collect(stream: AsyncIterable<ModelDelta>, settings: CollectSettings): Promise<Attempt> {
  const { provider, signal, textBytesMax } = settings;
  const iterator = stream[Symbol.asyncIterator]();
  const aborted = whenAborted(signal);
  const parts: string[] = [];
  let bytes = 0;
  let responseModel: string | null = null;
  let finishReason: FinishReason | null = null;
  const usage: UsageSoFar = {};
  const fail = (error: unknown): Attempt => ({
    status: 'failed',
    error: asCoppiceError(error, provider),
    outputBegan: parts.length > 0,
    usage,
  });
  try {
    while (finishReason === null) {
      const next = await Promise.race([iterator.next(), aborted.promise]);
      if (next.done === true) {
        const where = parts.length === 0 ? 'before it began' : 'in the middle';
        return fail(new CoppiceError('provider-failed', `${provider} ended its answer ${where}`, { retryable: true }));
      }
      const delta = next.value;
      if (delta.type === 'response-start') ({ responseModel } = delta);
      else if (delta.type === 'usage') Object.assign(usage, delta.usage);
      else if (delta.type === 'response-end') ({ finishReason } = delta);
      else {
        parts.push(delta.text);
        bytes += Buffer.byteLength(delta.text);
        if (bytes > textBytesMax) {
          return fail(
            new CoppiceError('limit-exceeded', `${provider}'s answer is over the limit of ${textBytesMax} bytes`),
          );
        }
      }
    }
    return { status: 'complete', text: parts.join(''), finishReason, responseModel, usage };
  } catch (error) {
    return fail(error);
  } finally {
    aborted.forget();
    // Ends the upstream call. Not waited for: a generator that hangs would hang the turn with it.
    iterator.return?.().catch(() => {});
  }
}

function whenAborted(signal: AbortSignal): { promise: Promise<never>; forget: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  promise.catch(() => {});
  return { promise, forget: () => signal.removeEventListener('abort', abort) };
}

function asCoppiceError(error: unknown, provider: string): CoppiceError {
  if (error instanceof CoppiceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CoppiceError('provider-failed', `${provider} failed: ${message}`, { cause: error });
}
