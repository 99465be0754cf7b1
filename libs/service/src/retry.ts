import pRetry from 'p-retry';

export type RetryOptions = {
  /**
   * Returns true if another try may succeed. The function may first remove the cause of the error. `tries` is the
   * number of tries so far.
   */
  mayPass: (error: Error, tries: number) => boolean | Promise<boolean>;
  /** Default: no limit. */
  triesMax?: number;
  /**
   * Time limit in milliseconds from the first try on. The last pause ends with this time, and one last try follows.
   * Default: no limit.
   */
  forMs?: number;
  /** Pause in milliseconds before the second try. Default: 0. */
  pauseMs?: number;
  /** Maximum pause in milliseconds. Each pause is twice the one before, up to this maximum. Default: `pauseMs`. */
  pauseMsMax?: number;
  signal?: AbortSignal;
};

/**
 * Runs `work`, and runs it again after an error for which `mayPass` returns true. A TypeError isn't retried, since it
 * is a defect. But the network errors of `fetch`, which are TypeErrors too, are retried. If the signal is aborted, a
 * later result is discarded.
 * @throws the last error; the signal's reason
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
