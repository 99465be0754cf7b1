import { setTimeout as sleep } from 'node:timers/promises';

export type EventuallySettings = {
  /** Time limit in milliseconds. Default: 10,000. */
  timeoutMs?: number;
  /** Pause in milliseconds between two calls of `probe`. Default: 20. */
  intervalMs?: number;
  /** Name of the expected result, for the error message. */
  description?: string;
};

/**
 * Calls `probe` again and again while it throws, or returns false, null or undefined. Then returns its result.
 * @throws Error after `timeoutMs`. Its cause is the last error of `probe`, such as a failed assertion.
 */
export async function eventually<Result>(
  probe: () => Result | Promise<Result>,
  settings: EventuallySettings = {},
): Promise<Exclude<Result, false | null | undefined>> {
  const { timeoutMs = 10_000, intervalMs = 20, description = 'the expected' } = settings;
  const end = Date.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const result = await probe();
      if (result !== false && result !== null && result !== undefined) {
        return result as Exclude<Result, false | null | undefined>;
      }
      last = `it gave ${String(result)}`;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= end) {
      const reason = last instanceof Error ? last.message : String(last);
      throw new Error(`${description} did not come within ${timeoutMs} ms: ${reason}`, { cause: last });
    }
    await sleep(intervalMs);
  }
}
