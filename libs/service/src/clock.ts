/** Source of the current time. Tests pass a clock that they advance themselves. */
export type Clock = { now(): Date };

export const systemClock: Clock = { now: () => new Date() };
