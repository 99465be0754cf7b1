import pRetry from 'p-retry';

export type RetryOptions = {
  /** Returns true if another try may succeed. The function may remove the cause of the error first. */
  mayPass: (error: Error, tries: number) => boolean | Promise<boolean>;
  /** Maximum number of tries. Default: no limit. */
  triesMax?: number;
  /** Time limit in milliseconds, from the first try. The last pause is shortened, so that the last try starts at the limit. Default: no limit. */
  forMs?: number;
  /** Milliseconds before the second try. Default: 0. */
  pauseMs?: number;
  /** The pause doubles after each try, up to this many milliseconds. Default: `pauseMs`. */
  pauseMsMax?: number;
  signal?: AbortSignal;
};

/**
 * Runs `work`, and repeats it while `mayPass` returns true for its error. A result that arrives after an abort is discarded. After a TypeError `work` is not repeated,
 * since that is a defect; TypeErrors of `fetch` are an exception.
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
