/**
 * Resolves with the work's result, or rejects with the signal's reason as soon as the signal is aborted. If a result
 * arrives after the abort, `late` gets it.
 */
export function unlessAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
  late: (result: Result) => void = () => {},
): Promise<Result> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    let left = false;
    const onAbort = () => {
      left = true;
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    // Either the caller or `late` gets the result, never both. So `late` may release the result.
    work
      .then((result) => (left ? late(result) : resolve(result)), reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Rejects if the work takes longer than `msMax`. Doesn't stop the work. */
export function inTime<Result>(work: Promise<Result>, msMax: number): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${msMax} ms`)), msMax);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
