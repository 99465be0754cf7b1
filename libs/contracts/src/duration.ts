import { z } from 'zod';

const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const expected = 'a duration such as 90s, 10m or 2h';
const durationPattern = /^(\d{1,9})(ms|s|m|h|d)$/;

/** A duration in a run file, such as `90s`, `10m` or `2h`. For another value, later checks don't run. */
export const durationSchema = z.string(expected).regex(durationPattern, { message: expected, abort: true });

/**
 * Converts a duration to milliseconds.
 * @throws RangeError if `durationSchema` doesn't accept it
 */
export function durationMs(duration: string): number {
  const match = durationPattern.exec(duration);
  if (match === null) throw new RangeError(`not a duration: ${duration}`);
  return Number(match[1]) * unitsMs[match[2] as keyof typeof unitsMs];
}
