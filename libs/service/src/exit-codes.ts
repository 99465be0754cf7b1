/** Exit codes of a service's process; the numbers above 1 are those of sysexits.h. */
export const exitCodes = {
  stopped: 0,
  /** A defect, or the connection was lost for good: start it again. */
  failed: 1,
  /** No NATS server answered in time: starting again later may help. */
  unavailable: 69,
  /** The configuration or the NATS server must be changed first. */
  misconfigured: 78,
} as const;
