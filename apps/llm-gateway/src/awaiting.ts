/** Resolves with the work's result, or rejects with the signal's reason at once. `late` gets a result that comes after the abort. */
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
    // A result goes either to the caller or to `late`, never to both: what a running call holds isn't returned, and an aborted call keeps nothing.
    work
      .then((result) => (left ? late(result) : resolve(result)), reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Rejects if the work takes longer. The work itself goes on. */
export function inTime<Result>(work: Promise<Result>, msMax: number): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${msMax} ms`)), msMax);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
