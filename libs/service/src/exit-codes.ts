/** Exit codes of a service's process; numbers above 1 are from sysexits.h. */
export const exitCodes = {
  stopped: 0,
  /** A defect, or the connection was lost permanently: restart the process. */
  failed: 1,
  /** No NATS server answered in time: a later start may succeed. */
  unavailable: 69,
  /** The configuration or the NATS server must be changed first. */
  misconfigured: 78,
} as const;
