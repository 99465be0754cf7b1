/** Source of the current time. Tests pass a clock that moves only when they advance it. */
export type Clock = { now(): Date };

export const systemClock: Clock = { now: () => new Date() };
