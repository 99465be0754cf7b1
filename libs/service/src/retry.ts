import pRetry from 'p-retry';

export type RetryOptions = {
  /** Reports whether the work may succeed the next time. It may first remove what was in the way. */
  mayPass: (error: Error, tries: number) => boolean | Promise<boolean>;
  /** Default: no limit. */
  triesMax?: number;
  /** Milliseconds from the first try; when they are over, one last try is made. Default: no limit. */
  forMs?: number;
  /** Milliseconds before the next try; default 0. */
  pauseMs?: number;
  /** The pause doubles with each try, up to this many milliseconds; default: `pauseMs`. */
  pauseMsMax?: number;
  signal?: AbortSignal;
};

/**
 * Repeats `work` while its error may pass. A result that arrives after an abort is discarded.
 * @throws the last error; the signal's reason. A TypeError is a defect and is never retried, except for those of `fetch`.
 */
export function retry<Result>(work: () => Promise<Result>, options: RetryOptions): Promise<Result> {
  const { mayPass, triesMax = Infinity, forMs = Infinity, pauseMs = 0, pauseMsMax = pauseMs, signal } = options;
  return pRetry(work, {
    retries: triesMax - 1,
    maxRetryTime: forMs,
    minTimeout: pauseMs,
    maxTimeout: pauseMsMax,
    factor: 2,
    shouldRetry: ({ error, attemptNumber }) => mayPass(error, attemptNumber),
    ...(signal === undefined ? {} : { signal }),
  });
}
