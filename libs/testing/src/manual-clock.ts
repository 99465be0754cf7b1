export type ManualClock = {
  now(): Date;
  /** Moves the time forward. @throws RangeError for a negative value */
  advance(milliseconds: number): void;
};

/** Creates a clock that moves only when `advance` is called. */
export function manualClock(start: Date | string = '2026-01-01T00:00:00.000Z'): ManualClock {
  let time = new Date(start).getTime();
  if (Number.isNaN(time)) throw new RangeError(`not a date: ${String(start)}`);
  return {
    now: () => new Date(time),
    advance: (milliseconds) => {
      if (!Number.isFinite(milliseconds) || milliseconds < 0)
        throw new RangeError(`a clock can't advance by ${milliseconds} ms`);
      time += milliseconds;
    },
  };
}
