/** The time, as a port: tests pass a clock that moves only when told to. */
export type Clock = { now(): Date };

export const systemClock: Clock = { now: () => new Date() };
