import pRetry from 'p-retry';

export type RetryOptions = {
  /** Returns true if another try may succeed. Before it returns, the function may remove the cause of the error. `tries` is the number of tries so far. */
  mayPass: (error: Error, tries: number) => boolean | Promise<boolean>;
  /** Maximum number of tries. Default: no limit. */
  triesMax?: number;
  /** Time limit in milliseconds, counted from the first try. The last pause is shortened, so that the last try starts when the time is over. Default: no limit. */
  forMs?: number;
  /** Pause in milliseconds before the second try. Default: 0. */
  pauseMs?: number;
  /** Maximum pause in milliseconds. After each try the pause doubles, up to this maximum. Default: `pauseMs`. */
  pauseMsMax?: number;
  signal?: AbortSignal;
};

/**
 * Runs `work`. If `work` throws and `mayPass` returns true for the error, runs `work` again. If the signal is aborted, a result that arrives later is discarded.
 * After a TypeError `work` is not repeated, since a TypeError is a defect, except for the TypeErrors of `fetch`.
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
